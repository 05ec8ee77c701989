"""Loading a teacher, and whether it fits its student."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmcds.models.taps import resolve_taps
from mmcds.probe import probe_channels

from .checkpoint import CDS_PREFIX, check_checkpoint, load_checkpoint
from .config import load_config, model_config
from .errors import unknown_name

HOOK = 'mmcds.DistillHook'
MODES = ('eval', 'train')


def check_teacher(cfg: Config) -> None:
    """Fail now on a teacher that would fail when training begins; the heavy parts are not built.

    Args:
        cfg (Config): A student's config, with a DistillHook or without; without, nothing is checked.

    Raises:
        ValueError, FileNotFoundError: If its config or checkpoint is missing or cut short, its classes are others,
            or the student's neck has no ``distill``.
    """
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook.get('type') == HOOK]
    neck = (cfg.get('model') or {}).get('neck')
    distill = neck.get('distill') if isinstance(neck, Mapping) else None
    if len(hooks) > 1:
        raise ValueError(f'custom_hooks has {len(hooks)} DistillHooks; a student has one teacher')
    if not hooks:
        if distill is not None:
            raise ValueError(
                'model.neck.distill is set but nothing brings a teacher; add '
                "dict(type='mmcds.DistillHook', teacher=<config>, checkpoint=<file>) to custom_hooks"
            )
        return
    hook = hooks[0]
    if distill is None:
        raise ValueError('custom_hooks has a DistillHook, but model.neck.distill is not set; give distill=dict()')
    if hook.get('teacher_mode', 'eval') not in MODES:
        raise unknown_name('DistillHook.teacher_mode', hook['teacher_mode'], MODES)
    if not hook.get('checkpoint'):
        raise ValueError(
            f'teacher_checkpoint is not set; train {hook.get("teacher")} first and give '
            '--cfg-options teacher_checkpoint=<its checkpoint>'
        )
    check_checkpoint(hook['checkpoint'])
    teacher = load_config(hook['teacher'])
    ours, theirs = (_classes(each.get('model')) for each in (cfg, teacher))
    if ours is not None and theirs is not None and ours != theirs:
        raise ValueError(
            f'DistillHook.teacher={hook["teacher"]!r} tells {theirs} classes apart, the student {ours}; '
            'choose a teacher of the same classes'
        )
    _check_logits(cfg, distill)
    _check_taps(cfg, teacher, hook['teacher'])


def _check_logits(cfg: Config, distill: Mapping[str, Any]) -> None:
    """Fail if logits of images are wanted of a student that has none."""
    if cfg.model.get('head') is None and distill.get('logits_weight', 1):
        raise ValueError(
            f'model.neck.distill.logits_weight={distill.get("logits_weight", 1.0)}: {cfg.model.get("type")} has no '
            'head that gives logits of images; set distill=dict(logits_weight=0)'
        )


def _check_taps(cfg: Config, teacher: Config, name: str) -> None:
    """Fail if the student has a tap at an output that its teacher has not."""
    neck = cfg.model.neck
    taps = resolve_taps(neck.get('taps'), neck.get('neck'), neck.get('channels'))
    theirs = dict(teacher.get('model') or {})
    wrapped = theirs.get('neck')
    if isinstance(wrapped, Mapping) and str(wrapped.get('type')).startswith('mmcds.'):
        # Of a teacher with CDS, too, only what the stock model returns is looked at.
        theirs['neck'] = wrapped.get('neck')
    widths = probe_channels(theirs, teacher.get('default_scope') or 'mmdet')
    valid = [f'{source}.{i}' for source, found in widths.items() for i, width in enumerate(found) if width]
    for tap in taps:
        if not tap.path and tap.name not in valid:
            raise unknown_name(
                'model.neck.taps', tap.name, valid, f'these are the outputs of the teacher {name!r}; choose others'
            )


def load_teacher(config: str, checkpoint: str | None) -> nn.Module:
    """Build a teacher and load its weights.

    Args:
        config (str): As :func:`~mmcds.utils.config.load_config` takes it.
        checkpoint (str): Its file. It may have CDS where the config has not.

    Raises:
        ValueError, FileNotFoundError: If one is missing, or the weights are those of another architecture.
    """
    if not checkpoint:
        raise ValueError('DistillHook.checkpoint is not set; give the file of the trained teacher')
    # A teacher shows nothing of its queues, so their length does not matter.
    queues = f'{CDS_PREFIX}queues.'
    weights = {key: value for key, value in load_checkpoint(checkpoint)['state_dict'].items() if queues not in key}
    cfg = load_config(config)
    # Its random initial weights are overwritten; the student's random numbers stay those without a teacher.
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdet'), torch.random.fork_rng(devices=[]):
        model: nn.Module = MODELS.build(model_config(cfg))
    own = {key: value for key, value in model.state_dict().items() if queues not in key}
    missing = [key for key in own if key not in weights]
    # A teacher trained with CDS may serve by its stock config, and then by its features.
    foreign = [key for key in weights if key not in own and CDS_PREFIX not in key]
    shapes = [key for key in own if key in weights and own[key].shape != weights[key].shape]
    for what, keys in (('lacks', missing), ('has another shape of', shapes), ('has beside it', foreign)):
        if keys:
            raise ValueError(
                f'teacher_checkpoint={checkpoint!r} is not of the architecture of {config}: it {what} {len(keys)} of '
                f'{len(own)} weights ({", ".join(keys[:3])}, ...); give the config it was trained with as '
                'DistillHook.teacher'
            )
    model.load_state_dict(weights, strict=False)
    return model


def check_pair(student: nn.Module, teacher: nn.Module) -> None:
    """Fail if the teacher would see other images than it was trained on.

    Args:
        student, teacher (nn.Module): Models with a data preprocessor, whose normalisation is compared.

    Raises:
        ValueError: If their normalisation differs.
    """
    for name in ('mean', 'std'):
        ours, theirs = (getattr(model.data_preprocessor, name, None) for model in (student, teacher))
        if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor):
            first, second = (each.flatten().float().cpu() for each in (ours, theirs))
            if first.shape != second.shape or not torch.allclose(first, second):
                raise ValueError(
                    f'data_preprocessor.{name} of the student is {first.tolist()}, of the teacher {second.tolist()}; '
                    'both see the same inputs, so train them with the same normalisation'
                )


def _classes(model: Any) -> int | None:
    """Classes of a classifier's head; None where it is none."""
    head = (model or {}).get('head') or {}
    return head.get('num_classes') if isinstance(head, Mapping) else None
