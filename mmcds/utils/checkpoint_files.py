"""Checks, names and loads checkpoint files."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.runner import CheckpointLoader


def check_checkpoint(path: str | Path) -> Path:
    """Raise a clear error on a checkpoint that is missing or was cut short.

    Args:
        path (str | Path): A local file; addresses (``https://...``) are not checked.

    Returns:
        Path: The same.

    Raises:
        FileNotFoundError: If there is none, naming those in its folder.
        ValueError: If it is cut short or not a checkpoint, naming complete ones in its folder.
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
    """Names of checkpoints in a figure: folder and stem, 'cds/epoch_12', with more folders until they differ."""
    paths = [Path(path).resolve().with_suffix('') for path in checkpoints]
    for parts in range(2, max((len(path.parts) for path in paths), default=0) + 1):
        names = ['/'.join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            return names
    return [str(path) for path in paths]


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


def _others(path: Path) -> str:
    folder = path.parent
    files = sorted(folder.glob('*.pth'), key=lambda file: file.stat().st_mtime) if folder.is_dir() else []
    complete = [file.name for file in files if file != path and zipfile.is_zipfile(file)]
    return f'whole checkpoints in {folder}: {", ".join(complete[-5:]) or "none"}'
