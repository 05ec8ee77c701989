"""Reads the channels of the outputs of a model's backbone and neck, from its config alone."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from itertools import product
from typing import Any

import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmcds.models.necks import NeckChain
from mmcds.utils.tree import as_map, as_outputs
from mmcds.utils.type_name import bare_kind

#: Sides in pixels of the empty image that reads the channels: multiples of every usual stride, window and patch.
#: The second is a multiple of 128, which some necks need.
SIDES = (224, 256)


class NotBuiltError(ValueError):
    """A part of a model cannot be built from its config."""


def probe_channels(model: Mapping[str, Any], scope: str = 'mmdet', training: bool = True) -> dict[str, list[int]]:
    """Read the channels of all outputs of backbone and neck.

    Both are built and called on empty images, on torch's 'meta' device, which computes nothing. If an operator does not
    support that device, the CPU is used.

    Args:
        model (Mapping): Config of a detector or classifier.
        scope (str): Default scope of the config. Defaults to 'mmdet'.
        training (bool): Whether to read the outputs of training mode; some backbones return more maps there, for
            auxiliary heads. If it is not possible, those of inference are read. Defaults to True.

    Returns:
        dict[str, list[int]]: For 'backbone' and, if there is one that can be called on such an image, 'neck';
        0 for an output that is no feature map (N, C, h, w) or vector (N, C).

    Raises:
        ValueError: If the model has no backbone, it cannot be built or called, or its neck cannot be built; a
            :class:`NotBuiltError` if the config of one of them is wrong.
    """
    if not model.get('backbone'):
        raise ValueError(
            f"model {model.get('type')!r} has no 'backbone' in its config, whose stages CDS would supervise"
        )
    if not isinstance(model['backbone'], Mapping):
        raise ValueError(f"model.backbone={model['backbone']!r} is not a config; give dict(type='ResNet', ...)")
    error: Exception | None = None
    # Some necks need other inputs; the backbone can be tapped without calling the neck.
    for call_neck in (True, False) if model.get('neck') else (True,):
        depths = image_channels(model)
        modes = (True, False) if training else (False,)
        for depth, device, size, mode in product(depths, ('meta', 'cpu'), _sizes(model), modes):
            # Batch normalisation in training mode needs more than one value per channel.
            images = (2 if mode else 1, depth, *size)
            try:
                return _read_channels(model, scope, device, images, mode, call_neck)
            # A backbone may raise anything on an unusual device or input. Keep the last error of the likeliest images.
            except Exception as problem:
                error = problem if depth == depths[0] else error
    if isinstance(error, NotBuiltError):
        raise error
    raise ValueError(
        f'the backbone {model["backbone"].get("type")!r} with its neck cannot be called with an image '
        f'of {SIDES[-1]}x{SIDES[-1]} to read its channels ({" ".join(str(error).split())}); '
        'give channels=dict(backbone=[...], neck=[...]) to add_cds'
    ) from error


def takes_one_size(model: Mapping[str, Any], scope: str = 'mmdet') -> bool:
    """Whether a backbone takes images of its ``img_size`` only, as BEiT does.

    Args:
        model (Mapping): Config of a detector, classifier or segmentor.
        scope (str): Default scope of the config. Defaults to 'mmdet'.
    """
    size = own_size(model)
    if size is None:
        return False

    def can_be_called(height: int, width: int, device: str) -> bool:
        images = (1, image_channels(model)[0], height, width)
        try:
            _read_channels(model, scope, device, images, training=False, call_neck=False)
        except Exception:  # as above: a backbone may raise anything
            return False
        return True

    device = next((device for device in ('meta', 'cpu') if can_be_called(*size, device)), None)
    return device is not None and not can_be_called(size[0] // 2, size[1] // 2, device)


def own_size(model: Mapping[str, Any]) -> tuple[int, int] | None:
    """(height, width) of the images that the backbone's config names."""
    given = model['backbone'].get('img_size')
    sides = given if isinstance(given, Sequence) else (given, given)
    return tuple(sides) if len(sides) == 2 and all(isinstance(side, int) for side in sides) else None


def _sizes(model: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Sizes of the empty images to try."""
    own = own_size(model)
    return [*((side, side) for side in SIDES), *([own] if own else [])]


def probe_stages(model: Mapping[str, Any], scope: str = 'mmpretrain', stages: int = 4) -> dict[str, int]:
    """Read the channels of the last module of each resolution, for backbones that return their last map only.

    Args:
        model (Mapping): Config of a classifier.
        scope (str): Default scope of the config. Defaults to 'mmpretrain'.
        stages (int): Largest number of modules; the deepest are kept. Defaults to 4.

    Returns:
        dict[str, int]: Channels by the module's name in the model ('backbone.layer2'), in the order of depth; empty
        if there are no modules with maps of several resolutions.
    """
    for depth, device, size in product(image_channels(model), ('meta', 'cpu'), _sizes(model)):
        try:
            with DefaultScope.overwrite_default_scope(scope):
                return _read_stages(model, device, (depth, *size), stages)
        except Exception:  # as above: the next device or size may work
            continue
    return {}


def image_channels(model: Mapping[str, Any]) -> list[int]:
    """Possible numbers of channels of a model's images, the likeliest first."""
    given = model['backbone'].get('in_channels')
    likely = [given] if isinstance(given, int) else []
    return list(dict.fromkeys([*likely, 3, 1]))


@torch.random.fork_rng(devices=[])
def _read_stages(model: Mapping[str, Any], device: str, image: tuple[int, int, int], stages: int) -> dict[str, int]:
    with torch.device(device), torch.no_grad():
        backbone = MODELS.build(deepcopy(model['backbone']))
        backbone.eval()
        called: list[tuple[tuple[int, ...], str, int]] = []

        def note(name: str, output: Any) -> None:
            feature = as_map(output)
            if isinstance(feature, torch.Tensor) and feature.dim() == 4:
                called.append((tuple(feature.shape[2:]), name, int(feature.shape[1])))

        for name, module in backbone.named_modules():
            # Stages and similar modules; no parts of blocks, and no modules without parameters.
            if name and name.count('.') <= 1 and any(True for _ in module.parameters()):
                module.register_forward_hook(lambda _module, _args, output, name=name: note(name, output))
        backbone(torch.zeros(1, *image, device=device))
    shape_of = {name: shape for shape, name, _ in called if '.' not in name}

    def is_stage(shape: tuple[int, ...], name: str) -> bool:
        """Not a layer inside a block that changes the resolution, as the first of MobileNetV3's blocks."""
        parent = name.partition('.')[0]
        # A wrapper around the whole backbone (TIMMBackbone), or a chain of layers, consists of stages.
        holds_all = len(shape_of) == 1 or isinstance(backbone.get_submodule(parent), nn.Sequential)
        return min(shape) > 1 and (holds_all or shape_of.get(parent, shape) == shape)

    # A module's hook runs after those of its children, so the last of a resolution is the stage itself.
    last = {shape: (name, width) for shape, name, width in called if is_stage(shape, name)}
    shapes = sorted(last, reverse=True)[-stages:]
    return {f'backbone.{last[shape][0]}': last[shape][1] for shape in shapes} if len(shapes) > 1 else {}


@torch.random.fork_rng(devices=[])
def _read_channels(
    model: Mapping[str, Any],
    scope: str,
    device: str,
    images: tuple[int, int, int, int],
    training: bool,
    call_neck: bool,
) -> dict[str, list[int]]:
    with DefaultScope.overwrite_default_scope(scope):
        # Import before the device changes: a module imported under 'meta' keeps its constants there.
        with MODELS.switch_scope_and_registry(None) as registry:
            registry.import_from_location()
        return _read_channels_on(model, device, images, training, call_neck)


def _read_channels_on(
    model: Mapping[str, Any], device: str, images: tuple[int, int, int, int], training: bool, call_neck: bool
) -> dict[str, list[int]]:
    with torch.device(device), torch.no_grad():
        backbone = _set_mode(_build('model.backbone', model['backbone']), training)
        features = backbone(torch.zeros(*images, device=device))
        channels = {'backbone': _widths(features)}
        if model.get('neck'):
            neck = _set_mode(_build_neck(model['neck']), training)
            if call_neck:
                channels['neck'] = _widths(neck(features))
    return channels


def _set_mode(module: nn.Module, training: bool) -> nn.Module:
    """Set the mode of a module. In training mode SyncBN becomes BN, since it refuses other devices than GPUs."""
    module = revert_sync_batchnorm(module) if training else module
    # Not chained: mmdet's backbones override train(), which returns nothing.
    module.train(training)
    return module


def _build_neck(neck: Any) -> nn.Module:
    if isinstance(neck, Sequence) and not isinstance(neck, str):
        return NeckChain([_build(f'model.neck[{i}]', part) for i, part in enumerate(neck)])
    return _build('model.neck', neck)


def _build(field: str, part: Any) -> nn.Module:
    """Build a part of the model; a mistake in its config is named, with the nearest types of the scope."""
    try:
        return MODELS.build(deepcopy(part))
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        kind = part.get('type') if isinstance(part, Mapping) else part
        reason = str(error.args[0] if error.args else type(error).__name__).partition('\n')[0]
        near: list[str] = []
        if isinstance(error, KeyError) and 'is not in the' in reason:
            # The rest of MMEngine's message is about its documentation.
            reason = reason.partition('. ')[0]
            with MODELS.switch_scope_and_registry(None) as registry:
                near = get_close_matches(bare_kind(kind), registry.module_dict, n=3)
        listed = f'; nearest: {", ".join(near)}' if near else ''
        raise NotBuiltError(f'{field} of type {kind!r} cannot be built: {reason}{listed}') from error


def _widths(outputs: Any) -> list[int]:
    return [
        int(output.shape[1]) if isinstance(output, torch.Tensor) and output.dim() in (2, 4) else 0
        for output in map(as_map, as_outputs(outputs))
    ]
