"""Loads a teacher for training."""

from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmcds.config.load_config import load_config, model_config
from mmcds.models.views.photometric import CONVERSIONS
from mmcds.utils.checkpoint_files import load_checkpoint

from .weights import CDS_PREFIX


def load_teacher(config: str, checkpoint: str | None) -> nn.Module:
    """Build a teacher and load its weights.

    Args:
        config (str): As :func:`~mmcds.config.load_config.load_config` takes it.
        checkpoint (str): Its file. It may have weights of CDS even if the config has no CDS.

    Raises:
        ValueError, FileNotFoundError: If one is missing, or the weights are those of another architecture.
    """
    if not checkpoint:
        raise ValueError('DistillHook.checkpoint is not set; give the file of the trained teacher')
    # A teacher's queues are not used, so their length may differ.
    queues = f'{CDS_PREFIX}queues.'
    weights = {key: value for key, value in load_checkpoint(checkpoint)['state_dict'].items() if queues not in key}
    cfg = load_config(config)
    # The initial weights are overwritten; the student has the same random numbers as without a teacher.
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdet'), torch.random.fork_rng(devices=[]):
        model: nn.Module = MODELS.build(model_config(cfg))
    own = {key: value for key, value in model.state_dict().items() if queues not in key}
    missing = [key for key in own if key not in weights]
    # A teacher trained with CDS may have its stock config here; it then gives its pooled features.
    foreign = [key for key in weights if key not in own and CDS_PREFIX not in key]
    shapes = [key for key in own if key in weights and own[key].shape != weights[key].shape]
    for what, keys in (('lacks', missing), ('has another shape of', shapes), ('has beside it', foreign)):
        if keys:
            raise ValueError(
                f'DistillHook.checkpoint={checkpoint!r} is not of the architecture of {config}: it {what} '
                f'{len(keys)} of {len(own)} weights ({", ".join(keys[:3])}, ...); '
                'give the config it was trained with as DistillHook.teacher'
            )
    model.load_state_dict(weights, strict=False)
    return model


def check_pair(student: nn.Module, teacher: nn.Module) -> None:
    """Raise if student and teacher normalise images differently, or if one alone swaps red and blue.

    Args:
        student, teacher (nn.Module): Models with a data preprocessor. What one does not say is not compared.

    Raises:
        ValueError: If their preprocessing differs.
    """
    remedy = 'both see the same inputs, so train them with the same'
    ours, theirs = _preprocessing(student), _preprocessing(teacher)
    for name in ('mean', 'std'):
        first, second = ours[name], theirs[name]
        if first is None or second is None:
            continue
        # A single value is that of all channels.
        fits = len(first) == len(second) or 1 in (len(first), len(second))
        if not fits or not torch.allclose(first, second):
            raise ValueError(
                f'data_preprocessor.{name} of the student is {first.tolist()}, of the teacher {second.tolist()}; '
                f'{remedy} normalisation'
            )
    swaps = [each['swaps'] for each in (ours, theirs)]
    if None not in swaps and swaps[0] != swaps[1]:
        raise ValueError(
            f'data_preprocessor.bgr_to_rgb (or to_rgb) of the student is {swaps[0]}, of the teacher {swaps[1]}; '
            f'{remedy} order of channels'
        )


def _preprocessing(model: nn.Module) -> dict[str, Any]:
    """Mean and standard deviation, (C,) or (1,), and whether red and blue are swapped; None for what is not known."""
    preprocessor: Any = model.data_preprocessor
    # That of all branches of a semi-supervised detector wraps that of one.
    preprocessor = getattr(preprocessor, 'data_preprocessor', preprocessor)
    found: dict[str, Any] = {}
    for name, neutral in (('mean', 0.0), ('std', 1.0)):
        value = getattr(preprocessor, name, None)
        if value is None and getattr(preprocessor, '_enable_normalize', None) is False:
            value = torch.tensor(neutral)
        found[name] = value.flatten().float().cpu() if isinstance(value, torch.Tensor) else None
    swaps = [getattr(preprocessor, name) for name in CONVERSIONS if hasattr(preprocessor, name)]
    return {**found, 'swaps': any(swaps) if swaps else None}
