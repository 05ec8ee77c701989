"""What is wrong with a COCO annotation file, told before a training stumbles over it."""

import gc
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_REQUIRED = {
    'images': ('id', 'file_name', 'height', 'width'),
    'categories': ('id', 'name'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
}


@dataclass
class CocoReport:
    """Findings about one data set.

    Attributes:
        name (str): Where the data set stands in the config, ``'train_dataloader.dataset'``.
        ann_file (str): Path of the annotation file.
        num_images (int): Images listed in it. Defaults to 0.
        num_boxes (int): Annotations listed in it. Defaults to 0.
        errors (list[Exception]): What would stop a training or falsify its result.
        warnings (dict[str, int]): What mmdet passes over without a word, with how often.
    """

    name: str
    ann_file: str
    num_images: int = 0
    num_boxes: int = 0
    errors: list[Exception] = field(default_factory=list)
    warnings: dict[str, int] = field(default_factory=dict)

    def raise_errors(self) -> None:
        """Raise what is fatal, if anything, as one error of one line.

        Raises:
            FileNotFoundError: If the first finding is a missing file.
            ValueError: If it is something else.
        """
        if self.errors:
            raise type(self.errors[0])(f'{self.name}: ' + '; and '.join(str(error) for error in self.errors))

    def summary(self) -> str:
        """The counted warnings in one line, '' if there is none."""
        counted = ', '.join(f'{count} {what}' for what, count in self.warnings.items() if count)
        return f'{self.name} ({self.num_images} images, {self.num_boxes} boxes): {counted}' if counted else ''


def check_coco(
    ann_file: str | os.PathLike[str],
    img_prefix: str | os.PathLike[str] = '',
    classes: Sequence[str] | None = None,
    *,
    name: str = 'dataset',
    drops_empty: bool = False,
    sample: int = 1000,
) -> CocoReport:
    """Check a COCO detection annotation file as mmdet's ``CocoDataset`` will read it.

    Nothing is raised: the findings are collected, the fatal ones in ``CocoReport.errors``.

    Args:
        ann_file (str | os.PathLike): The annotation file, with its folder.
        img_prefix (str | os.PathLike): Folder of the images. Defaults to '' (file names are taken as paths).
        classes (Sequence[str], optional): ``metainfo['classes']`` of the data set. If None, names are not
            compared. Defaults to None.
        name (str): Where the data set stands in the config, for the messages. Defaults to 'dataset'.
        drops_empty (bool): Whether images without boxes are dropped (``filter_empty_gt``); then no box at
            all is fatal. Defaults to False.
        sample (int): Number of image files looked for, evenly spread over the list; a large set on a
            network disk would take minutes otherwise. Defaults to 1000.

    Returns:
        CocoReport: The findings.
    """
    report = CocoReport(name, str(ann_file))
    with _no_garbage_collection():
        _check(report, Path(ann_file), Path(img_prefix), classes, drops_empty, sample)
    return report


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Millions of new objects make the collector run over them again and again: half of the time on COCO."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check(
    report: CocoReport,
    ann_file: Path,
    img_prefix: Path,
    classes: Sequence[str] | None,
    drops_empty: bool,
    sample: int,
) -> None:
    content = _read(ann_file, report)
    if content is None or not _has_required_fields(content, report):
        return
    images, annotations = content['images'], content['annotations']
    report.num_images, report.num_boxes = len(images), len(annotations)
    _check_ids(content, report)
    if classes is not None:
        _check_classes(content['categories'], classes, report)
    wrong_classes = bool(report.errors)
    usable = _check_boxes(content, classes, report, drops_empty)
    if drops_empty and usable == 0 and not wrong_classes:
        report.errors.append(ValueError(f"'{ann_file}' has no box that mmdet would use, so no image is left"))
    _check_files([image['file_name'] for image in images], img_prefix, sample, report)


def _read(path: Path, report: CocoReport) -> dict[str, Any] | None:
    if not path.is_file():
        report.errors.append(
            FileNotFoundError(f"ann_file '{path}' does not exist; {_neighbours(path)}; check data_root and ann_file")
        )
        return None
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, OSError) as error:
        size = path.stat().st_size
        report.errors.append(
            ValueError(
                f"ann_file '{path}' ({size} bytes) is not readable as JSON ({error}); it may be cut off, "
                'copy or make it again'
            )
        )
        return None
    # Test sets without annotations are valid; everything else of COCO's must be there.
    if isinstance(content, dict):
        content.setdefault('annotations', [])
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in _REQUIRED):
        found = ', '.join(content) if isinstance(content, dict) else f'a {type(content).__name__}'
        report.errors.append(
            ValueError(
                f"ann_file '{path}' holds {found}, not COCO's images, annotations and categories; is it a "
                'file of results or of another format?'
            )
        )
        return None
    return content


def _has_required_fields(content: dict[str, Any], report: CocoReport) -> bool:
    before = len(report.errors)
    for part, keys in _REQUIRED.items():
        for key in keys:
            lacking = [entry.get('id', i) for i, entry in enumerate(content[part]) if key not in entry]
            if lacking:
                report.errors.append(
                    ValueError(
                        f"{len(lacking)} of {len(content[part])} {part} in '{report.ann_file}' have no "
                        f"'{key}' (first: id {lacking[0]}), which mmdet needs; write it into the file"
                    )
                )
    return len(report.errors) == before


def _check_ids(content: dict[str, Any], report: CocoReport) -> None:
    for part, key in (('images', 'id'), ('annotations', 'id'), ('categories', 'id'), ('categories', 'name')):
        values = [entry[key] for entry in content[part]]
        if len(set(values)) < len(values):
            twice = [value for value, count in Counter(values).items() if count > 1]
            report.errors.append(
                ValueError(
                    f"{len(twice)} {part} in '{report.ann_file}' share their {key} with another (first: "
                    f'{twice[0]!r}); every {key} must occur once'
                )
            )


def _check_classes(categories: list[dict[str, Any]], classes: Sequence[str], report: CocoReport) -> None:
    in_file = [category['name'] for category in categories]
    if isinstance(classes, str):
        report.errors.append(
            ValueError(f"classes='{classes}' is a string, not a tuple of names; write classes=('{classes}',)")
        )
        return
    absent = [name for name in classes if name not in in_file]
    if absent:
        literal = _listed(in_file, quoted=True)
        report.errors.append(
            ValueError(
                f"classes are {_listed(classes)} but '{report.ann_file}' has the categories "
                f'{_listed(in_file)}, without {_listed(absent)}; set metainfo=dict(classes=({literal})) in '
                f"every data set and num_classes={len(in_file)} in the model's heads"
            )
        )
        return
    shared = [name for name in in_file if name in classes]
    swapped = sum(a != b for a, b in zip(shared, classes, strict=True)) if len(shared) == len(classes) else 0
    report.warnings[
        f'classes in another order than in the file, which decides: names in pictures and tables will be '
        f'wrong, write classes=({_listed(shared, quoted=True)})'
    ] = swapped


def _check_boxes(
    content: dict[str, Any], classes: Sequence[str] | None, report: CocoReport, drops_empty: bool
) -> int | None:
    """Count what mmdet passes over; return the number of boxes that it uses, None if they are malformed."""
    annotations = content['annotations']
    box = _boxes([a['bbox'] for a in annotations])
    if box is None:
        malformed = [a['id'] for a in annotations if _boxes([a['bbox']]) is None]
        report.errors.append(
            ValueError(
                f"{len(malformed)} annotations in '{report.ann_file}' have a bbox that is not four finite "
                f'numbers x, y, width, height (first: annotation {malformed[0]}); mend or remove them'
            )
        )
        return None
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    names = {category['id']: category['name'] for category in content['categories']}
    wanted = {i for i, name in names.items() if classes is None or name in classes}
    listed = np.array([a['image_id'] in sizes for a in annotations], dtype=bool)
    size = np.array([sizes.get(a['image_id'], (np.inf, np.inf)) for a in annotations]).reshape(-1, 2)
    in_classes = np.array([a['category_id'] in wanted for a in annotations], dtype=bool)
    area = np.array([a['area'] for a in annotations], dtype=np.float64)
    ignored = np.array([bool(a.get('ignore', False)) for a in annotations], dtype=bool)

    low, high = box[:, :2], box[:, :2] + box[:, 2:]
    no_area = (box[:, 2:] < 1).any(axis=1) | ~(area > 0)
    outside = ~no_area & (np.minimum(high, size) <= np.maximum(low, 0)).any(axis=1)
    partly = ~no_area & ~outside & ((low < -1) | (high > size + 1)).any(axis=1)
    used = listed & in_classes & ~no_area & ~outside & ~ignored
    with_boxes = {a['image_id'] for a, use in zip(annotations, used, strict=True) if use}

    hint = ''
    # Half the boxes sticking out, and none if the last two numbers are a corner: the wrong format.
    corners = (box[:, 2:] > low).all(axis=1) & (box[:, 2:] <= size + 1).all(axis=1)
    if len(box) and (partly.sum() * 2 > len(box)) and corners.all():
        hint = '; they look like x1, y1, x2, y2 where COCO has x, y, width, height'
    report.warnings |= {
        'boxes under a pixel wide or high or without area (mmdet skips them)': int(no_area.sum()),
        'boxes outside their image (skipped)': int(outside.sum()),
        f'boxes partly outside their image (clipped{hint})': int(partly.sum()),
        'boxes of categories that are not among the classes (skipped)': int((~in_classes).sum()),
        'boxes of images that are not listed (skipped)': int((~listed).sum()),
        f'images without a box ({"dropped" if drops_empty else "kept as background"})': len(sizes) - len(with_boxes),
    }
    return int(used.sum())


def _check_files(names: list[str], prefix: Path, sample: int, report: CocoReport) -> None:
    if not names:
        report.errors.append(ValueError(f"'{report.ann_file}' lists no images"))
        return
    looked_at = sorted(set(np.linspace(0, len(names) - 1, min(sample, len(names))).astype(int).tolist()))
    missing = [names[i] for i in looked_at if not (prefix / names[i]).is_file()]
    if len(missing) == len(looked_at):
        path = prefix / missing[0]
        report.errors.append(
            FileNotFoundError(
                f"none of {len(looked_at)} images looked for exists, first '{path}'; {_neighbours(path)}; "
                'check data_root and data_prefix'
            )
        )
    elif missing:
        found = f"of {len(looked_at)} images looked for do not exist (first: '{missing[0]}')"
        report.warnings[found] = len(missing)


def _boxes(rows: list[Any]) -> np.ndarray | None:
    """``(N, 4)`` float64, or None if any row is not four finite numbers."""
    try:
        box = np.array(rows, dtype=np.float64).reshape(len(rows), 4)
    except (TypeError, ValueError):
        return None
    return box if np.isfinite(box).all() else None


def _neighbours(path: Path) -> str:
    """What there is in the nearest existing folder above ``path``."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    found = sorted(entry.name + '/' * entry.is_dir() for entry in folder.iterdir())
    return f"the folder '{folder}' holds {_listed(found) or 'nothing'}"


def _listed(names: Sequence[str], quoted: bool = False, at_most: int = 10) -> str:
    shown = [f"'{name}'" if quoted else str(name) for name in names[:at_most]]
    more = len(names) - at_most
    tail = f', ... {more} more' if more > 0 else ',' if quoted and len(names) == 1 else ''
    return ', '.join(shown) + tail
