"""Features of any tap over a data set: one row per image, or per annotated object."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcds.models.data_samples.sample_list import image_labels
from mmcds.models.samplers import InstanceSampler
from mmcds.utils.errors import unknown_name
from mmcds.utils.tree import as_map, as_outputs

#: Names of taps that are outputs; other names are modules inside the backbone.
OUTPUT = re.compile(r'(backbone|neck)\.\d+')


@dataclass
class TapFeatures:
    """Features of taps for M labelled rows.

    Attributes:
        labels (Tensor): Class of each row (M,), int64.
        features (dict[str, Tensor]): By tap ('backbone.2'), pooled features (M, C), float32, on the CPU.
        embeddings (dict[str, Tensor]): By tap, what its projector makes of them (M, D), of length 1.
        skipped (int): Images without a class, or objects without an area, that were left out. Defaults to 0.
    """

    labels: Tensor
    features: dict[str, Tensor]
    embeddings: dict[str, Tensor] = field(default_factory=dict)
    skipped: int = 0


class TapRecorder:
    """Context that records the outputs of backbone and neck by forward hooks.

    Args:
        model (nn.Module): A detector or classifier.
        taps (Sequence[str]): Taps that will be asked for; modules inside the backbone ('backbone.layer2') have to be
            among them. Defaults to ().

    Attributes:
        outputs (dict[str, tuple]): By 'backbone' and 'neck', the outputs of the last call.
        inside (dict[str, Any]): By name, what the modules returned.

    Raises:
        ValueError: If the model has no backbone.

    Example:
        >>> with TapRecorder(model) as recorder:
        ...     model.extract_feat(inputs)
        ...     maps = recorder.outputs['backbone']
    """

    def __init__(self, model: nn.Module, taps: Sequence[str] = ()) -> None:
        if not isinstance(getattr(model, 'backbone', None), nn.Module):
            raise ValueError(f'{type(model).__name__} has no model.backbone, whose stages could be probed')
        self.model = model
        self.outputs: dict[str, tuple] = {}
        self.inside: dict[str, Any] = {}
        known = {name: module for name, module in model.named_modules() if name.startswith('backbone.')}
        self.modules = {name: known[name] for name in taps if name in known and not OUTPUT.fullmatch(name)}
        self._handles: list[Any] = []

    def __enter__(self) -> 'TapRecorder':
        for source in ('backbone', 'neck'):
            part = getattr(self.model, source, None)
            if isinstance(part, nn.Module):
                self._handles.append(part.register_forward_hook(self._keep(source)))
        for name, module in self.modules.items():
            self._handles.append(module.register_forward_hook(self._keep_inside(name)))
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.outputs, self.inside = {}, {}

    def _keep_inside(self, name: str) -> Any:
        def hook(module: nn.Module, args: tuple, output: Any) -> None:
            self.inside[name] = as_map(output)

        return hook

    def _keep(self, source: str) -> Any:
        def hook(module: nn.Module, args: tuple, output: Any) -> None:
            self.outputs[source] = tuple(map(as_map, as_outputs(output)))

        return hook

    def tap_names(self) -> list[str]:
        """All outputs of the last call that are feature maps (N, C, h, w) or vectors (N, C)."""
        return [
            f'{source}.{i}'
            for source, outputs in self.outputs.items()
            for i, output in enumerate(outputs)
            if isinstance(output, Tensor) and output.dim() in (2, 4)
        ]

    def feature(self, name: str) -> Tensor:
        """One output as a map (N, C, h, w).

        Raises:
            ValueError: If there is no such tap, naming those there are.
        """
        valid = self.tap_names()
        if name in self.modules:
            output = self.inside.get(name)
            if not isinstance(output, Tensor) or output.dim() not in (2, 4):
                raise ValueError(f'taps={name!r} gives no feature map (N, C, h, w); name one of {valid}')
        elif name not in valid:
            stages = [f'backbone.{child}' for child, _ in self.model.backbone.named_children()]  # type: ignore[union-attr]
            raise unknown_name('taps', name, [*valid, *stages], 'name outputs or stages that are feature maps')
        else:
            source, _, index = name.rpartition('.')
            output = self.outputs[source][int(index)]
        return output if output.dim() == 4 else output[:, :, None, None]


@torch.no_grad()
def tap_features(
    model: Any,
    batches: Iterable[tuple[dict[str, Any], Sequence[Sequence[dict]] | None]],
    taps: Sequence[str] | None = None,
    projected: Sequence[str] = (),
) -> TapFeatures:
    """Run a model in evaluation mode and collect the features of its taps.

    A feature is the mean over the map, in a detector over the map's part in the object's box (RoIAlign).

    Args:
        model: A detector or classifier of mmdet or mmpretrain, put back into its mode afterwards.
        batches (Iterable): Pairs of what a data loader gives ('inputs', 'data_samples') and, for a
            detector, the annotated objects of each image as data sets hold them: 'bbox' (x1, y1, x2, y2)
            in pixels of the file, and 'bbox_label'. None for a classifier.
        taps (Sequence[str], optional): Names of taps, outputs ('backbone.2', 'neck.0') or modules inside the backbone
            ('backbone.layer2'). Defaults to None: those of the CDSNeck, or, without one, all outputs of the backbone.
        projected (Sequence[str]): Taps of the CDSNeck whose embeddings are wanted as well. Defaults to ().

    Returns:
        TapFeatures: The rows in the order of the batches.

    Raises:
        ValueError: If a tap is not known, or no image has a class or an object.
    """
    was_training = model.training
    model.eval()
    supervision: Any = getattr(getattr(model, 'neck', None), 'cds', None)
    sampler = getattr(supervision, 'sampler', None)
    sampler = sampler if isinstance(sampler, InstanceSampler) else InstanceSampler()
    rows: dict[tuple[str, str], list[Tensor]] = {}
    labels: list[Tensor] = []
    skipped = 0
    # As the CDSNeck calls them, also where its projectors are looked up.
    keys = {tap.name: tap.key for tap in supervision.taps} if supervision is not None else {}
    taps = taps or list(keys) or None
    try:
        with TapRecorder(model, taps or ()) as recorder:
            for data, objects in batches:
                data = model.data_preprocessor(data, False)
                inputs: Tensor = data['inputs']
                model.extract_feat(inputs)
                rois = None
                if objects is None:
                    label = image_labels(data['data_samples'], inputs.device)
                    keep = label >= 0
                else:
                    rois, label, keep = instance_rois(objects, data['data_samples'], inputs.device)
                skipped += int((~keep).sum())
                labels.append(label[keep].cpu())
                taps = taps or [name for name in recorder.tap_names() if name.startswith('backbone.')]
                for name in taps:
                    feature = recorder.feature(name)
                    crops = feature if rois is None else sampler.crop(feature, rois, (inputs.shape[2], inputs.shape[3]))
                    crops = crops[keep].float()
                    rows.setdefault(('feature', name), []).append(crops.mean((2, 3)).cpu())
                    if name in projected:
                        projector = supervision.projectors[keys[name]]
                        rows.setdefault(('embedding', name), []).append(F.normalize(projector(crops), dim=1).cpu())
    finally:
        model.train(was_training)
    if not sum(len(each) for each in labels):
        raise ValueError(
            f'none of the {skipped} rows has a class, so there is nothing to probe; '
            'probe with a data set that is annotated'
        )
    joined = {key: torch.cat(parts) for key, parts in rows.items()}
    return TapFeatures(
        torch.cat(labels),
        {name: value for (kind, name), value in joined.items() if kind == 'feature'},
        {name: value for (kind, name), value in joined.items() if kind == 'embedding'},
        skipped,
    )


def instance_rois(
    objects: Sequence[Sequence[dict]], data_samples: Sequence[Any], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes of annotated objects in the model's input.

    Test pipelines of mmdet leave boxes in pixels of the file or scale them, as the order of their steps
    has it; hence they are taken from the annotation and scaled here.

    Args:
        objects (Sequence): Per image, its objects: 'bbox', 'bbox_label' and 'ignore_flag' (crowds; 0 where absent).
        data_samples (Sequence): Per image, with 'scale_factor' (w, h) or 'img_shape' and 'ori_shape' as meta data.
        device (torch.device): Where they go.

    Returns:
        tuple[Tensor, Tensor, Tensor]: ``rois`` (M, 5) as (image, x1, y1, x2, y2), float32; classes (M,), int64;
        and which to keep (M,), bool: those that have an area.
    """
    rows, labels = [], []
    for i, (found, sample) in enumerate(zip(objects, data_samples, strict=True)):
        meta = sample.metainfo
        shape, original = meta.get('img_shape', (1, 1)), meta.get('ori_shape', meta.get('img_shape', (1, 1)))
        scale = meta.get('scale_factor') or (shape[1] / original[1], shape[0] / original[0])
        for each in found:
            if not each.get('ignore_flag', 0):
                rows.append([i, *(float(v) * float(scale[k % 2]) for k, v in enumerate(each['bbox']))])
                labels.append(int(each['bbox_label']))
    rois = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
    keep = rois.isfinite().all(1) & ((rois[:, 3:] - rois[:, 1:3]) > 0).all(1)
    return rois.to(device), torch.tensor(labels, dtype=torch.long, device=device), keep.to(device)
