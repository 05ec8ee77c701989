"""Checks before training that the image files of a data set exist, and opens a few of them."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mmcv
import numpy as np

from mmcds.datasets.image_sizes import differs

#: From this number of files in a folder on, one listing of the folder is cheaper than one look at each file.
_LIST_FROM = 100
#: A network disk answers many requests at once.
_THREADS = 16


@dataclass(frozen=True)
class ImageLoader:
    """How a pipeline decodes images.

    Attributes:
        color_type (str): As of mmcv's ``LoadImageFromFile``. Defaults to 'color'.
        imdecode_backend (str): As of mmcv's ``LoadImageFromFile``. Defaults to 'cv2'.
    """

    color_type: str = 'color'
    imdecode_backend: str = 'cv2'

    def size_of(self, path: str) -> tuple[int, int] | None:
        """Width and height of the decoded image, None if it does not decode."""
        try:
            image = mmcv.imfrombytes(Path(path).read_bytes(), flag=self.color_type, backend=self.imdecode_backend)
        except Exception:  # every decoder has exceptions of its own; the training's loader reports them
            return None
        return None if image is None else (image.shape[1], image.shape[0])


def missing_files(paths: Sequence[str]) -> list[str]:
    """The paths that are not files, in the order given.

    A folder with many of the files is listed once; single files are looked at by several threads.

    Args:
        paths (Sequence[str]): Paths on a local or network disk.
    """
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_folder[os.path.dirname(path)].append(path)
    single: list[str] = []
    for folder, wanted in by_folder.items():
        listed = _files_in(folder) if len(wanted) >= _LIST_FROM else frozenset()
        single += [path for path in wanted if os.path.basename(path) not in listed]
    with ThreadPoolExecutor(_THREADS) as pool:
        missing = {path for path, found in zip(single, pool.map(os.path.isfile, single), strict=True) if not found}
    return [path for path in paths if path in missing]


def _files_in(folder: str) -> frozenset[str]:
    """Names of the plain files in a folder, without links."""
    try:
        with os.scandir(folder or '.') as entries:
            return frozenset(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except OSError:
        return frozenset()


def spread(count: int, at_most: int) -> list[int]:
    """Up to ``at_most`` indices below ``count``, evenly spread."""
    if at_most >= count:
        return list(range(count))
    return sorted(set(np.linspace(0, count - 1, at_most).astype(int).tolist()))


def other_sizes(
    paths: Sequence[str], sizes: Sequence[tuple[float, float]], loader: ImageLoader
) -> list[tuple[int, tuple[int, int]]]:
    """Images that decode to another size than annotated.

    Args:
        paths (Sequence[str]): The files; those that do not decode are passed over.
        sizes (Sequence[tuple[float, float]]): Their annotated width and height.
        loader (ImageLoader): How the pipeline decodes them.

    Returns:
        list[tuple[int, tuple[int, int]]]: Index and decoded width and height of each.
    """
    found = []
    for i, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        decoded = loader.size_of(path)
        if decoded is not None and differs(decoded, size):
            found.append((i, decoded))
    return found


def is_local(arguments: Mapping[str, object] | None) -> bool:
    """Whether ``backend_args`` or ``file_client_args`` of a loader name the plain file system, or nothing."""
    return (arguments or {}).get('backend', 'local') in ('local', 'disk')
