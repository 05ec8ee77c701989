"""Finds out what a model's backbone and neck return, from its config alone."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import product
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmcds.models.necks import NeckChain
from mmcds.utils.tree import as_map, as_outputs

#: Sides of the probe's input in pixels: multiples of every usual stride, window and patch, and, for
#: necks that pass through a stride of 128, of that.
SIDES = (224, 256)


def probe_channels(model: Mapping[str, Any], scope: str = 'mmdet') -> dict[str, list[int]]:
    """Channels of all outputs of backbone and neck.

    Both are built once and see one empty image, on torch's 'meta' device, which computes nothing,
    or, where an operator does not know that device, on the CPU.

    Args:
        model (Mapping): Config of a detector or classifier.
        scope (str): Default scope of the config. Defaults to 'mmdet'.

    Returns:
        dict[str, list[int]]: For 'backbone' and, where there is one that takes such an image, 'neck';
        0 for an output that is no feature map (N, C, h, w) or vector (N, C).

    Raises:
        ValueError: If the model has no backbone, it cannot be built or called, or its neck cannot be built.
    """
    if not model.get('backbone'):
        raise ValueError(
            f"model {model.get('type')!r} has no 'backbone' in its config, whose stages CDS would supervise"
        )
    error: Exception | None = None
    # The neck may want images of a form of its own; when it is not called, the backbone can still be tapped.
    for call_neck in (True, False) if model.get('neck') else (True,):
        depths = image_channels(model)
        for depth, device, side in product(depths, ('meta', 'cpu'), SIDES):
            try:
                return _probe(model, scope, device, (depth, side, side), call_neck)
            # Whatever a foreign backbone raises on an unusual device or input: of the likeliest images, the last.
            except Exception as problem:
                error = problem if depth == depths[0] else error
    raise ValueError(
        f'the backbone {model["backbone"].get("type")!r} with its neck cannot be probed with an image of '
        f'{SIDES[-1]}x{SIDES[-1]} ({error}); give channels=dict(backbone=[...], neck=[...]) to add_cds'
    ) from error


def probe_stages(model: Mapping[str, Any], scope: str = 'mmpretrain', stages: int = 4) -> dict[str, int]:
    """The last module of each resolution inside a backbone, for backbones that return their last map only.

    Args:
        model (Mapping): Config of a classifier.
        scope (str): Default scope of the config. Defaults to 'mmpretrain'.
        stages (int): At most so many, the deepest. Defaults to 4.

    Returns:
        dict[str, int]: Channels by the module's name in the model ('backbone.layer2'), in the order of depth; empty
        if no modules with maps of several resolutions were found.
    """
    for depth, device, side in product(image_channels(model), ('meta', 'cpu'), SIDES):
        try:
            with DefaultScope.overwrite_default_scope(scope):
                return _probe_stages(model, device, (depth, side, side), stages)
        except Exception:  # as above: the next device or size may do
            continue
    return {}


def image_channels(model: Mapping[str, Any]) -> list[int]:
    """Numbers of channels that the images of a model may have, the likeliest first."""
    said = model['backbone'].get('in_channels')
    likely = [said] if isinstance(said, int) else []
    return list(dict.fromkeys([*likely, 3, 1]))


def _probe_stages(model: Mapping[str, Any], device: str, image: tuple[int, int, int], stages: int) -> dict[str, int]:
    with torch.device(device), torch.no_grad():
        backbone = MODELS.build(deepcopy(model['backbone']))
        backbone.eval()
        called: list[tuple[tuple[int, ...], str, int]] = []

        def note(name: str, output: Any) -> None:
            found = as_map(output)
            if isinstance(found, torch.Tensor) and found.dim() == 4:
                called.append((tuple(found.shape[2:]), name, int(found.shape[1])))

        for name, module in backbone.named_modules():
            # Stages and their like; not what a block consists of, nor what learns nothing.
            if name and name.count('.') <= 1 and any(True for _ in module.parameters()):
                module.register_forward_hook(lambda _module, _args, output, name=name: note(name, output))
        backbone(torch.zeros(1, *image, device=device))
    # A parent is called to its end after its children: the last of a resolution is the whole stage.
    last = {shape: (name, width) for shape, name, width in called if min(shape) > 1}
    shapes = sorted(last, reverse=True)[-stages:]
    return {f'backbone.{last[shape][0]}': last[shape][1] for shape in shapes} if len(shapes) > 1 else {}


def _probe(
    model: Mapping[str, Any], scope: str, device: str, image: tuple[int, int, int], call_neck: bool
) -> dict[str, list[int]]:
    with DefaultScope.overwrite_default_scope(scope):
        # Before the device is changed: a module that is imported under 'meta' keeps its constants there.
        with MODELS.switch_scope_and_registry(None) as registry:
            registry.import_from_location()
        return _probe_on(model, device, image, call_neck)


def _probe_on(
    model: Mapping[str, Any], device: str, image: tuple[int, int, int], call_neck: bool
) -> dict[str, list[int]]:
    with torch.device(device), torch.no_grad():
        backbone = MODELS.build(deepcopy(model['backbone']))
        # As a statement: mmdet's backbones override train() and return nothing.
        backbone.eval()
        features = backbone(torch.zeros(1, *image, device=device))
        channels = {'backbone': _widths(features)}
        if model.get('neck'):
            neck = _build_neck(model['neck'])
            neck.eval()
            if call_neck:
                channels['neck'] = _widths(neck(features))
    return channels


def _build_neck(neck: Any) -> nn.Module:
    if isinstance(neck, Sequence):
        return NeckChain([MODELS.build(deepcopy(each)) for each in neck])
    return MODELS.build(deepcopy(neck))


def _widths(outputs: Any) -> list[int]:
    return [
        int(each.shape[1]) if isinstance(each, torch.Tensor) and each.dim() in (2, 4) else 0
        for each in as_outputs(outputs)
    ]
