"""Checkpoint files: are they whole, and what is in them."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.runner import CheckpointLoader, find_latest_checkpoint

#: Weights of the contrast start with this, wherever the neck hangs in the model.
CDS_PREFIX = 'neck.cds.'


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
    if not noted:
        return None
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
