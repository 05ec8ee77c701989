"""The checkpoints of a run: the last one, and the classes that one names."""

import zipfile
from pathlib import Path

from mmengine.runner import find_latest_checkpoint

from mmcds.utils.checkpoint_files import check_checkpoint, load_checkpoint


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
