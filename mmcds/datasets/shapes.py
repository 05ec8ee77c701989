"""A small detection data set of drawn shapes, so that a first training needs no download.

Every image is drawn from a seed of its own, ``(seed, split, index)``: image 7 is the same image whether
forty or four thousand are made, and no order of drawing can change it.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from filelock import FileLock

from mmcds.utils.errors import check_count, unknown_name

from .scenes import CLASSES, Scene, draw_scene

STAMP = 'shapes.json'
#: Kinds of a set: COCO's boxes and outlines; long shapes with rotated boxes, too; with classes of pixels, too.
KINDS = ('boxes', 'rotated', 'pixels')
#: Length to width of the shapes with rotated boxes.
STRETCH = 2.5
_VERSION = 1  # raise it when the drawing changes, so that an older set is not taken for the same one


def make_shapes(
    root: str | os.PathLike[str], train: int = 400, val: int = 100, seed: int = 0, size: int = 160, kind: str = 'boxes'
) -> Path:
    """Write the data set in COCO's layout; do nothing if it already exists.

    With ``kind='rotated'`` the shapes are :data:`STRETCH` times as long as wide, and ``labels_train/`` and
    ``labels_val/`` hold their rotated boxes in DOTA's format, a text file for each image. With ``kind='pixels'``
    ``maps_train/`` and ``maps_val/`` hold the class of each pixel, a PNG for each image.

    The set is written beside ``root`` and renamed into place, so ``root`` is never seen half-written. Of
    several processes that ask at once, one draws and the others wait for it.

    Args:
        root (str | os.PathLike): Folder to hold ``train/``, ``val/``, ``annotations/`` and a stamp.
        train (int): Number of training images. Defaults to 400.
        val (int): Number of validation images. Defaults to 100.
        seed (int): Seed of all images, not negative. Defaults to 0.
        size (int): Side of the images in pixels, at least 64. Defaults to 160.
        kind (str): One of :data:`KINDS`. Defaults to 'boxes'.

    Returns:
        Path: ``root``.

    Raises:
        ValueError: If a number is too small, or ``root`` holds shapes made with other arguments.
        FileExistsError: If ``root`` holds anything that this function did not write.
    """
    for name, value, least in (('train', train, 1), ('val', val, 1), ('seed', seed, 0), ('size', size, 64)):
        check_count(name, value, least)
    if kind not in KINDS:
        raise unknown_name('kind', kind, KINDS)
    root = Path(root)
    asked: dict[str, Any] = {'version': _VERSION, 'train': train, 'val': val, 'seed': seed, 'size': size}
    if kind != KINDS[0]:  # older sets have no kind
        asked['kind'] = kind
    if _already_made(root, asked):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f'.{root.name}.lock'):
        if _already_made(root, asked):  # another process made it while this one waited
            return root
        with tempfile.TemporaryDirectory(prefix=f'.{root.name}-', dir=root.parent) as temporary:
            # A folder inside the temporary one: that one is readable by its owner alone.
            fresh = Path(temporary) / 'fresh'
            for split_id, (split, count) in enumerate(zip(('train', 'val'), (train, val), strict=True)):
                _write_split(fresh, split, split_id, count, seed, size, kind)
            files = {str(f.relative_to(fresh)): f.stat().st_size for f in fresh.rglob('*') if f.is_file()}
            (fresh / STAMP).write_text(json.dumps({**asked, 'files': files}))
            if root.exists():
                root.rename(Path(temporary) / 'half_written')
            fresh.rename(root)
    return root


def is_complete(root: str | os.PathLike[str]) -> bool:
    """Whether ``root`` holds every file of a set that ``make_shapes`` wrote, whatever its arguments.

    Args:
        root (str | os.PathLike): The data set's folder.

    Returns:
        bool: False also where a file is missing or has another size than it was written with.
    """
    stamp = _read_stamp(Path(root))
    if stamp is None:
        return False
    paths = ((Path(root) / name, written) for name, written in stamp['files'].items())
    return all(path.is_file() and path.stat().st_size == written for path, written in paths)


def kind_of(root: str | os.PathLike[str]) -> str | None:
    """The kind of the set in ``root``, one of :data:`KINDS`; None if there is none."""
    stamp = _read_stamp(Path(root))
    return None if stamp is None else str(stamp.get('kind', KINDS[0]))


def _already_made(root: Path, asked: dict[str, Any]) -> bool:
    stamp = _read_stamp(root)
    if stamp is None:
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise FileExistsError(
                f"root='{root}' is not a folder of shapes (it has no readable {STAMP}) and is not empty; "
                'choose another folder, or remove this one yourself'
            )
        return False
    if not is_complete(root):
        return False
    made = {key: value for key, value in stamp.items() if key != 'files'}
    if made != asked:
        keys = [key for key in {**asked, **made} if made.get(key) != asked.get(key)]
        differing = ', '.join(f'{key}={made.get(key, KINDS[0])} (asked {asked.get(key, KINDS[0])})' for key in keys)
        raise ValueError(f"root='{root}' holds shapes made with {differing}; choose another folder or remove this one")
    return True


def _read_stamp(root: Path) -> dict[str, Any] | None:
    try:
        stamp = json.loads((root / STAMP).read_text())
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and isinstance(stamp.get('files'), dict) else None


def _write_split(root: Path, split: str, split_id: int, count: int, seed: int, size: int, kind: str) -> None:
    (root / split).mkdir(parents=True)
    stretch = STRETCH if kind == 'rotated' else 1.0
    (root / 'annotations').mkdir(exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        scene = draw_scene(np.random.default_rng([seed, split_id, index]), size, stretch=stretch)
        name = f'{index:05d}.jpg'
        path = root / split / name
        if not cv2.imwrite(str(path), scene.image, [cv2.IMWRITE_JPEG_QUALITY, 92]):
            raise OSError(f"could not write '{path}'; is the disk full?")
        if kind == 'rotated':
            _write_rotated(root / f'labels_{split}' / f'{index:05d}.txt', scene)
        if kind == 'pixels':
            path = root / f'maps_{split}' / f'{index:05d}.png'
            path.parent.mkdir(exist_ok=True)
            if not cv2.imwrite(str(path), scene.pixels):
                raise OSError(f"could not write '{path}'; is the disk full?")
        images.append({'id': index, 'file_name': name, 'width': size, 'height': size})
        for fields in _coco_annotations(scene):
            annotations.append({'id': len(annotations) + 1, 'image_id': index, **fields})
    categories = [{'id': i + 1, 'name': name} for i, name in enumerate(CLASSES)]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))


def _write_rotated(path: Path, scene: Scene) -> None:
    """A line for each object: four corners, the class, and 0, which is DOTA's 'not difficult'."""
    path.parent.mkdir(exist_ok=True)
    corners = (' '.join(f'{v:.2f}' for v in each.ravel()) for each in scene.corners)
    rows = (f'{each} {CLASSES[label]} 0' for each, label in zip(corners, scene.labels, strict=True))
    path.write_text('\n'.join(rows) + '\n')


def _coco_annotations(scene: Scene) -> Iterator[dict[str, Any]]:
    for (x1, y1, x2, y2), label, polygon in zip(
        scene.boxes.tolist(), scene.labels.tolist(), scene.polygons, strict=True
    ):
        yield {
            'category_id': label + 1,
            'bbox': [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)],
            'area': round(float(cv2.contourArea(polygon)), 2),
            'segmentation': [[round(v, 2) for v in polygon.ravel().tolist()]],
            'iscrowd': 0,
        }
