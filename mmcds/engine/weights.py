"""Checkpoint files: are they whole, and what is in them."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import CheckpointLoader, find_latest_checkpoint
from torch import nn

#: Weights of the contrast start with this, wherever the neck hangs in the model.
CDS_PREFIX = 'neck.cds.'
#: Parts of a supervision that have one module per tap.
_PARTS = ('projectors', 'classifiers', 'queues')


def check_checkpoint(path: str | Path) -> Path:
    """Fail early, and in words, on a checkpoint that is missing or was cut short.

    Args:
        path (str | Path): A local file; addresses (``https://...``) are not looked at.

    Returns:
        Path: The same.

    Raises:
        FileNotFoundError: If there is none, naming those in its folder.
        ValueError: If it is cut short or no checkpoint, naming whole ones in its folder.
    """
    path = Path(path)
    if '://' in str(path) or ':/' in str(path):
        return path
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint={str(path)!r} does not exist; {_others(path)}')
    with path.open('rb') as file:
        start = file.read(2)
    # torch writes a zip, whose table of contents stands at its end; before 1.6 it wrote a bare pickle.
    if not zipfile.is_zipfile(path) and not start.startswith(b'\x80'):
        size = path.stat().st_size
        raise ValueError(f'checkpoint={str(path)!r} ({size} bytes) is cut short or no checkpoint; {_others(path)}')
    return path


def names_of(checkpoints: Sequence[str | Path]) -> list[str]:
    """What a figure calls checkpoints: their folder and stem, 'cds/epoch_12', and more folders while two are alike."""
    paths = [Path(each).resolve().with_suffix('') for each in checkpoints]
    for parts in range(2, max((len(path.parts) for path in paths), default=0) + 1):
        names = ['/'.join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            return names
    return [str(path) for path in paths]


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The last checkpoint of a run, as its file ``last_checkpoint`` says.

    Args:
        work_dir (str | Path): Its work directory. MMEngine notes whole paths, so in one that was moved since, the
            file of that name beside the note is meant.

    Returns:
        Path | None: None where there is no such note; whether the file is there is not looked at.
    """
    noted = find_latest_checkpoint(str(work_dir))
    if noted is None:
        return None
    if not noted.strip():
        # The run was killed while it wrote the note: the newest whole checkpoint is the last.
        kept = [each for kind in ('epoch', 'iter') for each in Path(work_dir).glob(f'{kind}_*.pth')]
        whole = [each for each in kept if zipfile.is_zipfile(each)]
        return max(whole, key=lambda each: each.stat().st_mtime, default=None)
    found = Path(noted)
    return found if found.is_file() else Path(work_dir) / found.name


def check_resume(resume: str | None, work_dir: str) -> str | None:
    """Check what ``--resume`` would load.

    Args:
        resume (str, optional): 'auto', a path, or None.
        work_dir (str): Where 'auto' looks.

    Returns:
        str | None: The checkpoint that will be loaded, None where training starts anew.
    """
    found = latest_checkpoint(work_dir) if resume == 'auto' else resume
    return str(check_checkpoint(found)) if found else None


def unwrapped(model: nn.Module) -> Any:
    """The model inside the wrappers of distributed training and of test-time augmentation.

    MMEngine names the weights in a checkpoint without their ``module.``, too.
    """
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    return inner


def check_resumed(model: nn.Module, checkpoint: Mapping[str, Any], path: str | Path) -> None:
    """Refuse to resume what was trained with another model, before MMEngine loads half of it.

    Compared are the parts of the supervision (kind, taps, projectors, queues) and the shapes of the stock weights.
    Stock weights that are only missing are left to MMEngine, since some models save a part of theirs.

    Args:
        model (nn.Module): The model that is trained, without a wrapper such as DDP.
        checkpoint (Mapping[str, Any]): What was read, with 'state_dict'; not changed.
        path (str | Path): The checkpoint's name in messages.

    Raises:
        ValueError: If the checkpoint cannot be resumed, naming what differs and the remedy.
    """
    if 'state_dict' not in checkpoint:
        return  # a strategy such as DeepSpeed's keeps the weights in files of its own
    start = f'load_from={path} without --resume'
    if not {'epoch', 'iter'} <= set(checkpoint.get('meta') or {}) or 'message_hub' not in checkpoint:
        raise ValueError(f'{path} holds weights only, so there is no run to resume; {start} starts from them')
    found = {key.removeprefix('module.'): tuple(value.shape) for key, value in checkpoint['state_dict'].items()}
    wanted = {key: tuple(value.shape) for key, value in model.named_parameters()}
    wanted.update({key: tuple(value.shape) for key, value in model.named_buffers() if CDS_PREFIX + 'queues.' in key})
    old, new = _Contrast.of(found), _Contrast.of(wanted)
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
    # Names that stand for nothing in the other model; the parts above explain those of the contrast.
    known = set(model.state_dict())
    unknown = [key for key in found if key not in known and not (parts and CDS_PREFIX in key) and _is_learnt(key)]
    absent = [key for key in wanted if key not in found and not (parts and CDS_PREFIX in key)]
    changed = [key for key in wanted if found.get(key, wanted[key]) != wanted[key]]
    changed = [key for key in changed if CDS_PREFIX + 'queues.' not in key or not parts]
    if changed:
        key = changed[0]
        differences.append(f'{key} of shape {found[key]} (now {wanted[key]}){_and_more(changed)}')
    if (unknown and absent) or any(CDS_PREFIX in key for key in (*unknown, *absent)):
        names = [f'{each[0]}{_and_more(each)}' if each else 'nothing' for each in (unknown, absent)]
        differences.append(f'{names[0]} (now {names[1]})')
    if differences:
        raise ValueError(
            f'{path} was trained with {"; ".join(differences)}, so it cannot be resumed; give the config that it was '
            f'trained with, or {start} to start from its weights'
        )


@dataclass(frozen=True)
class _Contrast:
    """What the names and shapes of a model's weights tell about its supervision."""

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
        # An IdentityProjector has no weights; then the classifiers or queues tell the taps.
        taps = next((names for names in parts.values() if names), [])
        return cls('DSN' if parts['classifiers'] else 'CDS', tuple(taps), lengths[0] if lengths else 0)


def _is_learnt(key: str) -> bool:
    return key.endswith(('.weight', '.bias'))


def _and_more(names: Sequence[str]) -> str:
    return f' and {len(names) - 1} more' if len(names) > 1 else ''


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint to the CPU with MMEngine's loader.

    Returns:
        dict: With at least 'state_dict'; a bare state dict is wrapped.

    Raises:
        FileNotFoundError, ValueError: If it is missing, cut short, or holds no weights.
    """
    check_checkpoint(path)
    content = CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    if not isinstance(content, Mapping):
        raise ValueError(f'checkpoint={str(path)!r} holds a {type(content).__name__}, not a state dict')
    return dict(content) if 'state_dict' in content else {'state_dict': content}


def classes_of(path: str | Path) -> tuple[str, ...] | None:
    """The classes that a checkpoint's meta data name, as the config of its training gave them.

    Args:
        path (str | Path): A local file; of addresses (``https://...``) nothing is known.

    Returns:
        tuple[str, ...] | None: None where it names none.
    """
    if '://' in str(path) or ':/' in str(path):
        return None
    meta = load_checkpoint(path).get('meta') or {}
    named = meta.get('dataset_meta') or {}
    classes = named.get('classes') or named.get('CLASSES')
    return tuple(classes) if isinstance(classes, (list, tuple)) else None


def without_cds(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The stock model's part of a CDS model's weights."""
    return {key: value for key, value in state_dict.items() if CDS_PREFIX not in key}


def _others(path: Path) -> str:
    folder = path.parent
    found = sorted(folder.glob('*.pth'), key=lambda each: each.stat().st_mtime) if folder.is_dir() else []
    whole = [each.name for each in found if each != path and zipfile.is_zipfile(each)]
    return f'whole checkpoints in {folder}: {", ".join(whole[-5:]) or "none"}'
