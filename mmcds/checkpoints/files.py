"""Finds the last checkpoint of a run, and reads the classes of a checkpoint."""

import zipfile
from pathlib import Path

from mmengine.runner import find_latest_checkpoint

from mmcds.utils.checkpoint_files import check_checkpoint, is_address, load_checkpoint


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The last checkpoint of a run, read from its file ``last_checkpoint``.

    Args:
        work_dir (str | Path): Its work directory. MMEngine writes full paths; if there is a file of that name in the
            directory, which may have been moved or copied since, it is taken.

    Returns:
        Path | None: None without ``last_checkpoint``. It is not checked whether the checkpoint exists.
    """
    noted = find_latest_checkpoint(str(work_dir))
    if noted is None:
        return None
    if not noted.strip():
        # The run was killed while it wrote this file: take the newest complete checkpoint.
        files = [file for kind in ('epoch', 'iter') for file in Path(work_dir).glob(f'{kind}_*.pth')]
        complete = [file for file in files if zipfile.is_zipfile(file)]
        return max(complete, key=lambda file: file.stat().st_mtime, default=None)
    # First the one in this folder: the path is that of the folder's copy, where it was copied.
    path, elsewhere = Path(work_dir) / Path(noted).name, Path(noted)
    return elsewhere if elsewhere.exists() and not path.exists() else path


def check_resume(resume: str | None, work_dir: str) -> str | None:
    """Check what ``--resume`` would load.

    Args:
        resume (str, optional): 'auto', a path, or None.
        work_dir (str): Where 'auto' looks.

    Returns:
        str | None: The checkpoint that will be loaded, None if training starts anew.
    """
    path = latest_checkpoint(work_dir) if resume == 'auto' else resume
    if not path:
        return None
    check_checkpoint(path)
    # As it stands: a Path would shorten an address.
    return str(path)


def classes_of(path: str | Path) -> tuple[str, ...] | None:
    """The classes in a checkpoint's meta data, as given by the config of its training.

    Args:
        path (str | Path): A local file; addresses (``https://...``) give None.

    Returns:
        tuple[str, ...] | None: None if it names none.
    """
    if is_address(path):
        return None
    meta = load_checkpoint(path).get('meta') or {}
    named = meta.get('dataset_meta') or {}
    classes = named.get('classes') or named.get('CLASSES')
    return tuple(classes) if isinstance(classes, (list, tuple)) else None
