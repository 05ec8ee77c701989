"""Checks whether a teacher fits its student, from their configs alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmcds.config.channels import probe_channels
from mmcds.models.necks import supervised_model, supervised_neck
from mmcds.models.step_data import Tap
from mmcds.models.supervision import ContrastiveSupervision, Supervision
from mmcds.models.supervision.teacher import MODES
from mmcds.utils.checkpoint_files import check_checkpoint
from mmcds.utils.errors import unknown_name
from mmcds.utils.type_name import type_name

from .load_config import load_config
from .resolved import NECK, ResolvedCDS

HOOK = 'mmcds.DistillHook'


def check_teacher(cfg: Config, student: Supervision | None = None) -> None:
    """Raise on a teacher that would fail when training begins, without building the full models.

    Args:
        cfg (Config): A student's config, with a DistillHook or without; without, nothing is checked.
        student (Supervision, optional): Supervision of its CDSNeck. Defaults to None: built from the config.

    Raises:
        ValueError, FileNotFoundError: If its config or checkpoint is missing or cut short, its classes, outputs or
            widths do not fit the student, or the student's neck has no ``distill``.
    """
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if type_name(hook) == HOOK]
    neck, field = supervised_model(cfg).get('neck'), f'{supervised_neck(cfg)}.distill'
    distill = neck.get('distill') if isinstance(neck, Mapping) else None
    if len(hooks) > 1:
        raise ValueError(f'custom_hooks has {len(hooks)} DistillHooks; a student has one teacher')
    if not hooks:
        if distill is not None:
            raise ValueError(
                f'{field} is set but nothing brings a teacher; add '
                f"dict(type='{HOOK}', teacher=<config>, checkpoint=<file>) to custom_hooks"
            )
        return
    hook = hooks[0]
    if distill is None:
        raise ValueError(f'custom_hooks has a DistillHook, but {field} is not set; give distill=dict()')
    if hook.get('teacher_mode', 'eval') not in MODES:
        raise unknown_name('DistillHook.teacher_mode', hook['teacher_mode'], MODES)
    if not hook.get('teacher'):
        raise ValueError('DistillHook.teacher is not set; give the config of the trained teacher')
    if not hook.get('checkpoint'):
        raise ValueError(
            f'teacher_checkpoint is not set; train {hook.get("teacher")} first and give '
            '--cfg-options teacher_checkpoint=<its checkpoint>'
        )
    check_checkpoint(hook['checkpoint'])
    teacher = load_config(hook['teacher'])
    if not (teacher.get('model') or {}).get('backbone'):
        raise ValueError(
            f'DistillHook.teacher={hook["teacher"]!r} has no model.backbone; give the config of a trained model'
        )
    if distill.get('logits_weight', 1):
        _check_logits(cfg, teacher, hook['teacher'], distill.get('logits_weight', 1.0))
    student = student or ResolvedCDS.of(supervised_model(cfg)['neck']).supervision
    if isinstance(student, ContrastiveSupervision):
        _check_embeddings(cfg, student, teacher, hook['teacher'])


def _check_logits(cfg: Config, teacher: Config, name: str, weight: Any) -> None:
    """Raise if logits are distilled but one of the models gives none, or their classes differ."""
    for model, role in ((supervised_model(cfg), 'the student'), (teacher.model, f'the teacher {name!r}')):
        if model.get('head') is None:
            raise ValueError(
                f'{supervised_neck(cfg)}.distill.logits_weight={weight}: {role} ({model.get("type")}) has no head '
                'that gives logits of images; set distill=dict(logits_weight=0)'
            )
    ours, theirs = _classes(supervised_model(cfg)), _classes(teacher.model)
    if ours is not None and theirs is not None and ours != theirs:
        raise ValueError(
            f'DistillHook.teacher={name!r} tells {theirs} classes apart, the student {ours}; '
            'choose a teacher of the same classes, or set distill=dict(logits_weight=0)'
        )


def _check_embeddings(cfg: Config, student: ContrastiveSupervision, teacher: Config, name: str) -> None:
    """Raise if the teacher lacks an output that the student taps, or embeds it in another width than expected."""
    distill: Any = student.distill
    expected = list(distill.channels.values())
    widths = _embedding_widths(student.all_taps, teacher, name)
    actual = [expected[i] if width is None else width for i, width in enumerate(widths)]
    if actual == expected or not distill.distance_weight:
        return
    given, field = supervised_model(cfg).neck.distill.get('channels'), f'{supervised_neck(cfg)}.distill.channels'
    wanted = actual[0] if len(set(actual)) == 1 else actual
    names = [tap.name for tap in student.all_taps]
    raise ValueError(
        f'{field}={given}: the teacher {name!r} embeds {names} in {actual} channels, not in '
        f'{expected}; set {field}={wanted}'
    )


def _embedding_widths(taps: Sequence[Tap], teacher: Config, name: str) -> list[int | None]:
    """Widths of a teacher's embeddings of the student's taps, as :class:`Teacher` makes them; None if not known."""
    model, projectors = dict[str, Any](teacher.model), dict[str, Any]()
    wrapped = model.get('neck')
    if isinstance(wrapped, Mapping) and type_name(wrapped).startswith('mmcds.'):
        # Taps are outputs of the stock model, also for a teacher with CDS.
        model['neck'] = wrapped.get('neck')
        if type_name(wrapped) == NECK:
            projectors = dict(ResolvedCDS.of(wrapped).supervision.projectors)
    try:
        outputs = probe_channels(model, teacher.get('default_scope') or 'mmdet', training=False)
    except ValueError:
        # Its channels cannot be read from its config; training checks its outputs.
        outputs = {}
    valid = [f'{source}.{i}' for source, channels in outputs.items() for i, width in enumerate(channels) if width]
    widths: list[int | None] = []
    for tap in taps:
        is_read = tap.source in outputs or (outputs and not model.get('neck'))
        if is_read and tap.name not in valid:
            raise unknown_name(
                'model.neck.taps', tap.name, valid, f'these are the outputs of the teacher {name!r}; choose others'
            )
        if tap.key in projectors:
            widths.append(projectors[tap.key].out_channels)
        else:
            # Without this projector a teacher embeds with its pooled map.
            widths.append(outputs[tap.source][tap.index] if is_read else None)
    return widths


def _classes(model: Any) -> int | None:
    """Number of classes of a classifier's head; None if there is none."""
    head = (model or {}).get('head') or {}
    return head.get('num_classes') if isinstance(head, Mapping) else None
