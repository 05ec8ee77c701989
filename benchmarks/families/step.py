"""One training step of a toy model, and the comparison of two."""

import random
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from mmcds.compat.torchvision_compat import ensure_torchvision

from .inputs import toy_inputs

#: Keys of the contrast, in the model or in the detector that it trains. A teacher has them, too, but does not use them.
CONTRAST = re.compile(r'(?:(?P<inner>student|teacher|detector)\.)?neck\.cds\.')


class StepError(Exception):
    """A step came to an end, but not to the right one."""


@dataclass(frozen=True)
class Step:
    """What came of a step.

    Attributes:
        losses (dict[str, list[Tensor]]): Every entry of the loss dict, detached.
        gradients (set[str]): Names of the parameters that have one.
        buffers (dict[str, Tensor]): By name, after the step; mostly running statistics.
    """

    losses: dict[str, list[Tensor]]
    gradients: set[str]
    buffers: dict[str, Tensor]


def build_toy(cfg: Config) -> nn.Module:
    """Build a config's model and initialise it, with a seed of its own, in training mode."""
    ensure_torchvision()
    _seed_all(0)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdet'):
        with MODELS.switch_scope_and_registry(None) as registry:
            registry.import_from_location()
        model = MODELS.build(deepcopy(cfg.model))
    model.init_weights()
    # As a statement: some models override train() and return nothing.
    model.train()
    # Some heads warm up and ask how far the run is.
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 0)
    hub.update_info('epoch', 0)
    return model


def toy_batch(cfg: Config, model: nn.Module) -> dict:
    """Toy inputs as the model's own data preprocessor gives them on."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdet'):
        return model.data_preprocessor(toy_inputs(cfg), True)  # type: ignore[operator]


def take_step(model: nn.Module, data: dict) -> Step:
    """Losses and gradients of one training step, always from the same seed.

    Args:
        model (nn.Module): In training mode.
        data (dict): What its data preprocessor gave, left as it is.

    Raises:
        StepError: If a loss is not finite.
    """
    _seed_all(1)
    losses = model(**deepcopy(data), mode='loss')
    values = {
        key: [each.detach() for each in (value if isinstance(value, (list, tuple)) else [value])]
        for key, value in losses.items()
    }
    endless = [key for key, value in values.items() if not all(each.isfinite().all() for each in value)]
    if endless:
        raise StepError(f'losses that are not finite: {endless}')
    total, _ = model.parse_losses(losses)  # type: ignore[operator]
    total.backward()
    return Step(
        values,
        {key for key, value in model.named_parameters() if value.grad is not None},
        {key: value.clone() for key, value in model.named_buffers()},
    )


def all_weights(model: nn.Module) -> dict[str, Mapping[str, Tensor]]:
    """State dicts of a model ('') and of a teacher that it keeps out of its own ('teacher_model')."""
    teacher = getattr(model, 'teacher_model', None)
    return {'': model.state_dict(), **({'teacher_model': teacher.state_dict()} if teacher is not None else {})}


def load_all_weights(model: nn.Module, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Give a model what :func:`all_weights` took off another; what it has more stays.

    Raises:
        StepError: If it lacks a key or has it in another shape, or has one that is not the contrast's.
    """
    own, old = model.state_dict(), weights['']
    wrong = [key for key in old if key not in own or own[key].shape != old[key].shape]
    if wrong:
        raise StepError(f'keys of the stock that are missing or of another shape: {wrong[:3]}')
    extra = [key for key in own if key not in old and not CONTRAST.match(key)]
    if extra:
        raise StepError(f'keys that neither the stock has nor the contrast: {extra[:3]}')
    for name, state in weights.items():
        part: nn.Module = getattr(model, name) if name else model
        part.load_state_dict(state, strict=False)


def contrast_parameters(model: nn.Module) -> set[str]:
    """Names of the parameters that the contrast trains."""
    found = ((name, CONTRAST.match(name)) for name, _ in model.named_parameters())
    return {name for name, match in found if match is not None and match['inner'] != 'teacher'}


def check_step(stock: Step, cds: Step, contrast: set[str]) -> None:
    """Fail if the step of a CDS model is not the stock's step with the contrast added.

    Args:
        stock (Step): Of the stock model.
        cds (Step): Of the CDS model, from the same weights, batch and seed.
        contrast (set[str]): Names of the parameters of the contrast.

    Raises:
        StepError: If there is no contrast, a gradient is missing, a teacher has one, or losses or buffers differ in
            any bit.
    """
    added = {key: float(value[0]) for key, value in cds.losses.items() if key.startswith('loss_cds_')}
    if not any(value > 0 for value in added.values()):
        raise StepError(f'no contrast: {added}')
    lost = sorted((stock.gradients | contrast) - cds.gradients)
    if lost:
        raise StepError(f'parameters without a gradient: {lost[:3]}')
    taught = sorted(key for key in cds.gradients - stock.gradients if key.startswith('teacher.'))
    if taught:
        raise StepError(f'parameters of the teacher with a gradient: {taught[:3]}')
    task = {key: value for key, value in cds.losses.items() if key not in added}
    if stock.losses.keys() != task.keys():
        raise StepError(f'the losses are {sorted(task)}, those of the stock {sorted(stock.losses)}')
    _check_equal('losses', stock.losses, task)
    _check_equal('buffers', {key: [value] for key, value in stock.buffers.items()}, cds.buffers)


def _check_equal(what: str, stock: Mapping[str, list[Tensor]], other: Mapping[str, list[Tensor] | Tensor]) -> None:
    different = {}
    for key, values in stock.items():
        for a, b in zip(values, other[key] if isinstance(other[key], list) else [other[key]], strict=True):
            if not torch.equal(a, b):
                different[key] = float((a.double() - b.double()).abs().max())
    if different:
        raise StepError(f'{what} that differ from the stock: {different}')


def _seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
