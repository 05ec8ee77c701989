"""Compares the weights of a checkpoint with those of a model, and separates the contrast's from the stock's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

#: Prefix of the contrast's weights below the module that has the neck.
CDS_PREFIX = 'neck.cds.'
#: Parts of a supervision that have one module per tap.
_PARTS = ('projectors', 'classifiers', 'queues')


def unwrapped(model: nn.Module) -> Any:
    """The model inside the wrappers of distributed training and of test-time augmentation.

    MMEngine, too, saves weights without the prefix ``module.``.
    """
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    return inner


def check_resumed(model: nn.Module, checkpoint: Mapping[str, Any], path: str | Path) -> None:
    """Raise on a checkpoint of another model, before MMEngine loads half of it.

    The parts of the supervision (kind, taps, projectors, queues) and the shapes of the stock weights are compared.
    Stock weights that are only missing are left to MMEngine, since some models save only a part of theirs.

    Args:
        model (nn.Module): The model that is trained, without a wrapper such as DDP.
        checkpoint (Mapping[str, Any]): The loaded checkpoint, with 'state_dict'; not changed.
        path (str | Path): The checkpoint's name in messages.

    Raises:
        ValueError: If the checkpoint cannot be resumed, naming what differs and the remedy.
    """
    if 'state_dict' not in checkpoint:
        return  # a strategy such as DeepSpeed's keeps the weights in files of its own
    start = f'load_from={path} without --resume'
    if not {'epoch', 'iter'} <= set(checkpoint.get('meta') or {}) or 'message_hub' not in checkpoint:
        raise ValueError(f'{path} holds weights only, so there is no run to resume; {start} starts from them')
    saved = {key.removeprefix('module.'): tuple(value.shape) for key, value in checkpoint['state_dict'].items()}
    expected = {key: tuple(value.shape) for key, value in model.named_parameters()}
    expected.update({key: tuple(value.shape) for key, value in model.named_buffers() if CDS_PREFIX + 'queues.' in key})
    old, new = _Contrast.of(saved), _Contrast.of(expected)
    if not old.kind and new.kind:
        raise ValueError(
            f'{path} was trained without {new.kind}, which the config has, so it cannot be resumed; {start} starts '
            f'{new.kind} from its weights'
        )
    if old.kind and not new.kind:
        raise ValueError(
            f'{path} was trained with {old.kind}, but the config has none, so it cannot be resumed; give the config '
            f'that it was trained with (--cds for a stock one), or {start} to start from its stock weights'
        )
    parts = [field.name for field in fields(_Contrast) if getattr(old, field.name) != getattr(new, field.name)]
    differences = [f'{part}={getattr(old, part)} (now {getattr(new, part)})' for part in parts]
    # Names that the other side lacks. Those of the contrast are skipped if its parts differ, which is reported above.
    known = set(model.state_dict())
    unknown = [key for key in saved if key not in known and not (parts and CDS_PREFIX in key) and _is_learnt(key)]
    absent = [key for key in expected if key not in saved and not (parts and CDS_PREFIX in key)]
    changed = [key for key in expected if saved.get(key, expected[key]) != expected[key]]
    changed = [key for key in changed if CDS_PREFIX + 'queues.' not in key or not parts]
    if changed:
        key = changed[0]
        differences.append(f'{key} of shape {saved[key]} (now {expected[key]}){_and_more(changed)}')
    if (unknown and absent) or any(CDS_PREFIX in key for key in (*unknown, *absent)):
        old_name, new_name = (f'{keys[0]}{_and_more(keys)}' if keys else '' for keys in (unknown, absent))
        differences.append(f'{old_name} (now {new_name or "missing"})' if old_name else f'no {new_name}')
    if differences:
        raise ValueError(
            f'{path} was trained with {"; ".join(differences)}, so it cannot be resumed; give the config that it was '
            f'trained with, or {start} to start from its weights'
        )


@dataclass(frozen=True)
class _Contrast:
    """Kind, taps and queue length of a supervision, read from the names and shapes of its weights."""

    #: 'CDS', 'DSN', or '' for none.
    kind: str = ''
    taps: tuple[str, ...] = ()
    queue_length: int = 0

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]]) -> '_Contrast':
        own = {key.partition(CDS_PREFIX)[2]: shape for key, shape in shapes.items() if CDS_PREFIX in key}
        if not own:
            return cls()
        parts = {part: sorted({key.split('.')[1] for key in own if key.startswith(f'{part}.')}) for part in _PARTS}
        lengths = [shape[0] for key, shape in own.items() if key.startswith('queues.') and key.endswith('.labels')]
        # An IdentityProjector has no weights; then the classifiers or queues name the taps.
        taps = next((names for names in parts.values() if names), [])
        return cls('DSN' if parts['classifiers'] else 'CDS', tuple(taps), lengths[0] if lengths else 0)


def _is_learnt(key: str) -> bool:
    return key.endswith(('.weight', '.bias'))


def _and_more(names: Sequence[str]) -> str:
    return f' and {len(names) - 1} more' if len(names) > 1 else ''


def without_cds(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a CDS model without those of the contrast."""
    return {key: value for key, value in state_dict.items() if CDS_PREFIX not in key}
