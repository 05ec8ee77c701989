"""Whether a teacher fits its student, from their configs alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmcds.config.channels import probe_channels
from mmcds.models.step_data import Tap
from mmcds.models.supervision import ContrastiveSupervision, Supervision
from mmcds.utils.checkpoint_files import check_checkpoint
from mmcds.utils.errors import unknown_name
from mmcds.utils.type_name import type_name

from .load_config import load_config
from .resolved import NECK, ResolvedCDS

HOOK = 'mmcds.DistillHook'
MODES = ('eval', 'train')


def check_teacher(cfg: Config, student: Supervision | None = None) -> None:
    """Fail now on a teacher that would fail when training begins; the heavy parts are not built.

    Args:
        cfg (Config): A student's config, with a DistillHook or without; without, nothing is checked.
        student (Supervision, optional): Of its CDSNeck. Defaults to None: built from the config.

    Raises:
        ValueError, FileNotFoundError: If its config or checkpoint is missing or cut short, its classes, outputs or
            widths do not fit the student, or the student's neck has no ``distill``.
    """
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if type_name(hook) == HOOK]
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
    student = student or ResolvedCDS.of(cfg.model.neck).supervision
    if isinstance(student, ContrastiveSupervision):
        _check_embeddings(cfg, student, teacher, hook['teacher'])


def _check_logits(cfg: Config, teacher: Config, name: str, weight: Any) -> None:
    """Fail if logits of images are wanted where one model has none, or the classes are others."""
    for model, who in ((cfg.model, 'the student'), (teacher.model, f'the teacher {name!r}')):
        if model.get('head') is None:
            raise ValueError(
                f'model.neck.distill.logits_weight={weight}: {who} ({model.get("type")}) has no head that gives logits '
                'of images; set distill=dict(logits_weight=0)'
            )
    ours, theirs = (_classes(each.model) for each in (cfg, teacher))
    if ours is not None and theirs is not None and ours != theirs:
        raise ValueError(
            f'DistillHook.teacher={name!r} tells {theirs} classes apart, the student {ours}; '
            'choose a teacher of the same classes, or set distill=dict(logits_weight=0)'
        )


def _check_embeddings(cfg: Config, student: ContrastiveSupervision, teacher: Config, name: str) -> None:
    """Fail if the student has a tap at an output that its teacher has not, or expects embeddings of another width."""
    distill: Any = student.distill
    expected = list(distill.channels.values())
    widths = _embedding_widths(student.all_taps, teacher, name)
    right = [expected[i] if width is None else width for i, width in enumerate(widths)]
    if right == expected or not distill.distance_weight:
        return
    given = cfg.model.neck.distill.get('channels')
    wanted = right[0] if len(set(right)) == 1 else right
    names = [tap.name for tap in student.all_taps]
    raise ValueError(
        f'model.neck.distill.channels={given}: the teacher {name!r} embeds {names} in {right} channels, not in '
        f'{expected}; set model.neck.distill.channels={wanted}'
    )


def _embedding_widths(taps: Sequence[Tap], teacher: Config, name: str) -> list[int | None]:
    """Channels in which a teacher embeds the student's taps, as :class:`Teacher` does it; None where not known."""
    model, projectors = dict[str, Any](teacher.model), dict[str, Any]()
    wrapped = model.get('neck')
    if isinstance(wrapped, Mapping) and type_name(wrapped).startswith('mmcds.'):
        # Of a teacher with CDS, too, the taps are outputs of the stock model.
        model['neck'] = wrapped.get('neck')
        if type_name(wrapped) == NECK:
            projectors = dict(ResolvedCDS.of(wrapped).supervision.projectors)
    try:
        outputs = probe_channels(model, teacher.get('default_scope') or 'mmdet')
    except ValueError:
        # It takes no image like the probe's. What it returns is then seen in training.
        outputs = {}
    valid = [f'{source}.{i}' for source, found in outputs.items() for i, width in enumerate(found) if width]
    widths: list[int | None] = []
    for tap in taps:
        probed = tap.source in outputs or (outputs and not model.get('neck'))
        if probed and tap.name not in valid:
            raise unknown_name(
                'model.neck.taps', tap.name, valid, f'these are the outputs of the teacher {name!r}; choose others'
            )
        if tap.key in projectors:
            widths.append(projectors[tap.key].out_channels)
        else:
            # A teacher without this projector shows its pooled map.
            widths.append(outputs[tap.source][tap.index] if probed else None)
    return widths


def _classes(model: Any) -> int | None:
    """Classes of a classifier's head; None where it is none."""
    head = (model or {}).get('head') or {}
    return head.get('num_classes') if isinstance(head, Mapping) else None
