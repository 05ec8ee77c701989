"""Exports the stock model as ONNX, and compares onnxruntime's output with PyTorch's."""

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmcds.config.add_cds import remove_cds
from mmcds.config.channels import image_channels
from mmcds.models.necks import supervised_model
from mmcds.utils.checkpoint_files import renamed_last
from mmcds.utils.errors import check_count

from .export import tensors
from .trained_model import load_trained

#: Largest difference that counts as rounding, relative to the largest value of an output.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class OnnxPart:
    """One exported file.

    Attributes:
        path (Path): Its path.
        inputs (tuple[int, ...]): Shape of its input.
        outputs (int): Number of outputs.
        difference (float): Largest difference to PyTorch, relative to the largest value of an output.
    """

    path: Path
    inputs: tuple[int, ...]
    outputs: int
    difference: float


class Network(nn.Module):
    """The network of a model: everything before proposals, decoding and suppression of boxes.

    Args:
        model (nn.Module): A detector or classifier.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Normalised images (N, 3, H, W) to the raw outputs of the dense head, of the RPN, or of the classifier.

        A detector with an RPN gives its features (the neck's outputs) first, since its second stage reads them.
        """
        return tuple(tensor for _, part in self._parts(image) for tensor in tensors(part))

    def names(self, image: Tensor) -> list[str]:
        """Names of the outputs: 'features0', 'scores0', 'boxes0', ... in the order of the levels."""
        with torch.no_grad():
            parts = [(name, tensors(part)) for name, part in self._parts(image)]
        return [f'{name}{i}' if len(part) > 1 else name for name, part in parts for i in range(len(part))]

    def _parts(self, image: Tensor) -> list[tuple[str, Any]]:
        model: Any = self.model
        features = model.extract_feat(image)
        dense = getattr(model, 'rpn_head', None) or getattr(model, 'bbox_head', None)
        if dense is None:
            return [('scores', model.head(features))]
        maps = dense(features)
        named = [('scores', maps[0]), ('boxes', maps[1]), *((f'other{i}_', x) for i, x in enumerate(maps[2:]))]
        # A second stage reads the features, too.
        return [('features', features), *named] if getattr(model, 'rpn_head', None) is not None else named


def export_onnx(cfg: Config, checkpoint: str | Path, out: str | Path, size: tuple[int, int]) -> list[OnnxPart]:
    """Write the stock model of a config as ONNX, and compare its output with PyTorch's.

    The file holds the network: it takes normalised images and gives raw outputs. The box head of a two-stage detector
    goes into a second file, ``<out>_roi.onnx``, which takes features that RoIAlign has pooled. Proposals,
    RoIAlign, decoding and suppression are the runtime's (MMDeploy has them for all of mmdet). A file gets its name when
    all is compared.

    Args:
        cfg (Config): With CDS or without; CDS is not exported.
        checkpoint (str | Path): Its weights, with those of the contrast or without.
        out (str | Path): The ``.onnx`` file to write.
        size (tuple[int, int]): (H, W) of the images, in pixels.

    Returns:
        list[OnnxPart]: One or two files.

    Raises:
        ImportError: If onnx, onnxscript or onnxruntime is not installed.
        ValueError: If ``out`` is no ONNX file, the weights do not fit, the model is more than a dense head and a box
            head, or onnxruntime gives something else than PyTorch.
    """
    check_onnx(out, size)
    out = Path(out)
    model, _ = load_trained(remove_cds(cfg), checkpoint)
    roi: Any = getattr(model, 'roi_head', None)
    stages: Any = getattr(roi, 'bbox_head', None)
    unknown = f'{type(model).__name__} is not known here'
    if isinstance(stages, nn.ModuleList) or getattr(roi, 'mask_head', None) is not None:
        unknown = f'{type(model).__name__} has more than a box head behind its proposals'
    elif any(isinstance(getattr(model, name, None), nn.Module) for name in ('rpn_head', 'bbox_head', 'head')):
        unknown = ''
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, image_channels(supervised_model(cfg))[0], *size, generator=generator)
    network = Network(model).eval()
    names: list[str] = []
    try:
        names = network.names(image) if not unknown else []
    except (TypeError, AttributeError, NotImplementedError) as error:
        unknown = f'{type(model).__name__} has a head that cannot be called on features alone ({error})'
    if unknown:
        raise ValueError(f'--onnx: {unknown}; export it with MMDeploy')
    # Both files are renamed after both are compared.
    with ExitStack() as files:
        parts = [_write(files, network, image, out, 'image', names)]
        if stages is not None:
            cells = stages.roi_feat_size
            pooled = torch.randn(8, roi.bbox_roi_extractor.out_channels, cells[0], cells[1], generator=generator)
            target = out.with_name(f'{out.stem}_roi.onnx')
            parts.append(_write(files, stages, pooled, target, 'rois', ['scores', 'boxes'], any_count=True))
    return parts


def check_onnx(out: str | Path, size: tuple[int, int]) -> list[Path]:
    """Check the arguments and the packages before anything is built.

    Returns:
        list[Path]: The files that may be written.

    Raises:
        ImportError, ValueError: As :func:`export_onnx`.
    """
    out = Path(out)
    if out.suffix != '.onnx':
        raise ValueError(f'--onnx={str(out)!r} is no ONNX file; give a name that ends with .onnx')
    for side in size:
        check_count('--size', side, 1)
    _need('onnx', 'onnxscript', 'onnxruntime')
    return [out, out.with_name(f'{out.stem}_roi.onnx')]


def _write(
    files: ExitStack,
    module: nn.Module,
    example: Tensor,
    out: Path,
    name: str,
    names: list[str],
    any_count: bool = False,
) -> OnnxPart:
    import onnxruntime

    partial = files.enter_context(renamed_last(out))
    module = module.eval()
    # The number of RoIs differs between images.
    shapes = ({0: torch.export.Dim('count')},) if any_count else None
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch's warnings about torch itself
        expected = tensors(module(example))
        torch.onnx.export(
            module, (example,), partial, dynamo=True, verbose=False, external_data=False, dynamic_shapes=shapes,
            input_names=[name], output_names=names,
        )  # fmt: skip
    session = onnxruntime.InferenceSession(str(partial), providers=['CPUExecutionProvider'])
    results = session.run(None, {session.get_inputs()[0].name: example.numpy()})
    difference = largest_difference(results, expected)
    if not difference <= TOLERANCE:
        raise ValueError(
            f'{out}: onnxruntime differs from PyTorch by {difference:.1e} of the largest output; '
            'export it with MMDeploy'
        )
    return OnnxPart(out, tuple(example.shape), len(expected), difference)


def largest_difference(results: Sequence[np.ndarray], expected: Sequence[Tensor]) -> float:
    """Of all outputs, the largest difference relative to the output's largest value; NaN if one of them has a NaN."""
    differences = [
        np.abs(a - b.numpy()).max() / max(float(b.abs().max()), 1e-12) for a, b in zip(results, expected, strict=True)
    ]
    # Python's max would lose a NaN.
    return float(np.max(differences))


def _need(*names: str) -> None:
    from importlib.util import find_spec

    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ImportError(f'--onnx needs {", ".join(missing)}; pip install -r requirements/optional.txt')
