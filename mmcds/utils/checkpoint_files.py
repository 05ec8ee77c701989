"""Checks, names, loads and replaces checkpoint files."""

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.runner import CheckpointLoader


def is_address(path: str | Path) -> bool:
    """Whether it is the address of a remote file (``https://...``)."""
    # A Path has one slash.
    return ':/' in str(path)


def check_checkpoint(path: str | Path) -> None:
    """Raise a clear error on a checkpoint that is missing or was cut short.

    Args:
        path (str | Path): A local file, or a folder that DeepSpeed wrote; addresses (``https://...``) are not checked.

    Raises:
        FileNotFoundError: If there is none, naming those in its folder.
        ValueError: If it is cut short or not a checkpoint, naming complete ones in its folder; if it is another folder,
            naming those in it.
    """
    path = Path(path)
    if is_address(path) or any(path.glob('*model_states.pt')):
        return
    if path.is_dir():
        raise ValueError(f'checkpoint={str(path)!r} is a folder; give a file; {_others(path / "_")}')
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint={str(path)!r} does not exist; {_others(path)}')
    with path.open('rb') as file:
        start = file.read(2)
    # torch writes a zip, whose table of contents stands at its end; before 1.6 it wrote a bare pickle.
    if not zipfile.is_zipfile(path) and not start.startswith(b'\x80'):
        size = path.stat().st_size
        raise ValueError(f'checkpoint={str(path)!r} ({size} bytes) is cut short or no checkpoint; {_others(path)}')


def check_written(field: str, path: str | Path, others: Mapping[str, str | Path]) -> None:
    """Raise if a file to be written is one of the other files of a command.

    Args:
        field (str): What names the file, for the message (``'--out'``).
        path (str | Path): The file.
        others (Mapping[str, str | Path]): The other files, by what they are.

    Raises:
        ValueError: If it is one of them, also under another name of the same place.
    """
    for what, other in others.items():
        if Path(path).resolve() == Path(other).resolve():
            raise ValueError(f'{field}={str(path)!r} is {what}, which it would replace; give another name')


@contextmanager
def renamed_last(target: str | Path) -> Iterator[Path]:
    """Context that gives the name of a partial file, and renames the file to the target at its end.

    The partial file has the target's name, in a folder of its own beside the target. If the block raises, it is removed
    and the target is what it was. Several programs may write the same target.

    Args:
        target (str | Path): The file to write; its folder is made.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f'.{target.name}.', dir=target.parent) as folder:
        # torch.save writes the name into the file.
        partial = Path(folder) / target.name
        yield partial
        os.replace(partial, target)


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
