"""Exports stock checkpoints from CDS ones."""

from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmcds.config.add_cds import has_cds, remove_cds
from mmcds.config.channels import image_channels, own_size
from mmcds.config.from_options import config_from_options
from mmcds.config.load_config import model_config
from mmcds.engine.weights import without_cds
from mmcds.models.necks import supervised_model
from mmcds.utils.checkpoint_files import check_written, load_checkpoint, renamed_last

#: Meta data of a checkpoint that inference uses; the rest (configs, hooks' messages) describes the training.
META = ('dataset_meta', 'epoch', 'iter', 'mmengine_version')


def export_checkpoint(source: str | Path, target: str | Path, backbone_only: bool = False) -> tuple[int, int]:
    """Write the stock model's part of a checkpoint.

    The file holds plain tensors and names, so that ``torch.load(weights_only=True)`` reads it. It is
    written beside the target and then renamed: an interrupted export leaves no partial file.

    Args:
        source (str | Path): A checkpoint of a CDS model. In a run with EMA, its 'state_dict' is the average.
        target (str | Path): The file to write.
        backbone_only (bool): Whether to keep only ``backbone.*``, without that prefix. Defaults to False.

    Returns:
        tuple[int, int]: Number of tensors written and left behind.

    Raises:
        FileNotFoundError, ValueError: If the source is missing or cut short, has no backbone, or is the target, too.
    """
    check_written('target', target, {'the checkpoint itself': source})
    content = load_checkpoint(source)
    weights = without_cds(content['state_dict'])
    if backbone_only:
        weights = {
            key.removeprefix('backbone.'): value for key, value in weights.items() if key.startswith('backbone.')
        }
        if not weights:
            raise ValueError(
                f"checkpoint={str(source)!r} has no 'backbone.*'; leave --backbone out for a bare backbone"
            )
    meta = {key: value for key, value in (content.get('meta') or {}).items() if key in META}
    with renamed_last(target) as partial:
        torch.save({'meta': plain(meta), 'state_dict': weights}, partial)
    return len(weights), len(content['state_dict']) - len(weights)


def check_has_cds(config: str, source: str | Path, add: bool = False, options: dict[str, Any] | None = None) -> None:
    """Raise if a checkpoint has weights of the contrast, and the config that it is checked against has none.

    Args:
        config, source, add, options: As for :func:`check_export`.

    Raises:
        ValueError: With the remedy.
    """
    weights = load_checkpoint(source)['state_dict']
    if len(without_cds(weights)) == len(weights) or has_cds(
        config_from_options(config, options, cds=add, teacher=False)
    ):
        return
    raise ValueError(f'{source} was trained with CDS, and {config} has none; add --cds')


def check_export(
    config: str,
    source: str | Path,
    target: str | Path,
    add: bool = False,
    backbone_only: bool = False,
    images: int = 10,
    options: dict[str, Any] | None = None,
    name: str | Path | None = None,
) -> str:
    """Load an exported file strictly into the stock model and compare outputs bit for bit.

    Args:
        config (str): The config the source was trained with.
        source (str | Path): The checkpoint of the CDS model.
        target (str | Path): The exported file.
        add (bool): Whether CDS is to be added to the config first. Defaults to False.
        backbone_only (bool): Whether the file is a backbone. Defaults to False.
        images (int): Random images to compare on, of 224x224 px, or of the size that the backbone takes. Defaults to
            10.
        options (dict, optional): What was overridden in training, as ``--cfg-options`` gives it. Defaults to None.
        name (str | Path, optional): What messages call the file. Defaults to None: ``target``.

    Returns:
        str: A summary in one line.

    Raises:
        ValueError: If the weights do not fit the config or the stock model, or the outputs differ.
    """
    name = name or target
    # The teacher of a distilled student is needed in training only.
    cds_cfg = config_from_options(config, options, cds=add, teacher=False)
    cfg, stock_cfg = cds_cfg, remove_cds(cds_cfg)
    stock, cds = build_for_test(stock_cfg), build_for_test(cds_cfg)
    try:
        cds.load_state_dict(load_checkpoint(source)['state_dict'])
    except RuntimeError as error:
        raise ValueError(
            f'{source} does not fit {config}: {shorten(str(error), 300)}; give the config it was trained with, and '
            'what was overridden then as --cfg-options'
        ) from error
    part: Any = stock.backbone if backbone_only else stock
    try:
        part.load_state_dict(load_checkpoint(target)['state_dict'], strict=True)
    except RuntimeError as error:
        raise ValueError(f'{name} does not fit the stock model of {config}: {" ".join(str(error).split())}') from error
    sample = None if backbone_only else sample_class(cfg)
    compared = 0
    shape = random_image_shape(cfg)
    for image in torch.randint(256, (images, *shape), generator=torch.Generator().manual_seed(0)):
        try:
            ours, theirs = (outputs(model, image, sample, backbone_only) for model in (cds, stock))
        except (RuntimeError, TypeError, AssertionError, AttributeError, KeyError) as error:
            # Such as a model that needs a text.
            raise ValueError(
                f'{name}: the models cannot be called with a random image of shape {shape} to be compared '
                f'({shorten(str(error), 200)}); export without --config'
            ) from error
        if len(ours) != len(theirs) or not all(torch.equal(x, y) for x, y in zip(ours, theirs, strict=True)):
            raise ValueError(f'{name}: the stock model does not give what the CDS model gives on a random image')
        compared += sum(tensor.numel() for tensor in ours)
    return (
        f'{name}: loads strictly into the stock {type(part).__name__}; {compared} numbers of features and '
        f'predictions on {images} random images are equal to the last bit'
    )


def outputs(model: Any, image: Tensor, sample: Any, backbone_only: bool) -> list[Tensor]:
    """Features of a model on one image (3, H, W), 0..255, and its predictions unless ``backbone_only``."""
    with torch.no_grad():
        if backbone_only:
            return tensors(model.backbone((image[None] - 127.5) / 64))
        shape = tuple(image.shape[1:])
        data_sample = sample(metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0), img_id=0))
        data = {'inputs': [image.to(torch.uint8)], 'data_samples': [data_sample]}
        features = model.extract_feat(model.data_preprocessor(data, False)['inputs'])
        predicted = model.test_step(data)[0]
        predictions = tensors(predicted)
        if not predictions:
            raise ValueError(
                f'{type(model).__name__} gives no prediction that can be compared; export without --config'
            )
        return tensors(features) + predictions


def random_image_shape(cfg: Config) -> tuple[int, int, int]:
    """(C, H, W) of an image that a config's model takes: of the ``img_size`` of its backbone, or of 224 px."""
    model = supervised_model(cfg)
    height, width = own_size(model) or (224, 224)
    return image_channels(model)[0], height, width


def sample_class(cfg: Config) -> Any:
    """The class of the data samples that a config's models predict into."""
    if (cfg.get('default_scope') or 'mmdet') == 'mmpretrain':
        from mmpretrain.structures import DataSample

        return DataSample
    from mmdet.structures import DetDataSample

    return DetDataSample


def build_for_test(cfg: Config) -> nn.Module:
    """The model of a config in evaluation mode, without downloading initial weights."""
    scope = cfg.get('default_scope') or 'mmdet'
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(model_config(cfg))
    model.eval()
    return model


def tensors(value: Any) -> list[Tensor]:
    """All tensors in nested outputs, in their order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, BaseDataElement):
        value = dict(value.items())
    if isinstance(getattr(value, 'tensor', None), Tensor):  # boxes of mmdet and mmrotate
        return [value.tensor]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors(item)]
    return []


def plain(value: Any) -> Any:
    """Convert nested values to builtin types, which any loader reads; other objects become text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return value.tolist() if hasattr(value, 'tolist') else str(value)
