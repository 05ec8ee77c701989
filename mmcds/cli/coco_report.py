"""Checks a COCO annotation file before training."""

import gc
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmcds.datasets.image_sizes import boxes_fit, size_remedy

from .image_files import ImageLoader, missing_files, other_sizes, spread
from .label_order import listed

_REQUIRED = {
    'images': ('id', 'file_name', 'height', 'width'),
    'categories': ('id', 'name'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
}

_NUMBER, _KEY = (int, float), (int, float, str)  # ids may be strings, if they are strings everywhere
_TYPES: tuple[tuple[str, str, tuple[type, ...], str], ...] = (
    ('images', 'id', _KEY, 'a number'),
    ('images', 'file_name', (str,), 'a string'),
    ('images', 'height', _NUMBER, 'a number'),
    ('images', 'width', _NUMBER, 'a number'),
    ('categories', 'id', _KEY, 'a number'),
    ('categories', 'name', _KEY, 'a string'),
    ('annotations', 'id', _KEY, 'a number'),
    ('annotations', 'image_id', _KEY, 'a number'),
    ('annotations', 'category_id', _KEY, 'a number'),
    ('annotations', 'area', _NUMBER, 'a number'),
    # As a string, '0' is true.
    ('annotations', 'iscrowd', (*_NUMBER, type(None)), 'a number, 0 or 1'),
    ('annotations', 'ignore', (*_NUMBER, type(None)), 'a number, 0 or 1'),
)
#: Start of the warning that names are shown wrongly.
OTHER_ORDER = 'classes in another order than in the file'
_LOOKED_INTO = 16  # images decoded before training, to compare their size with the annotated one


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
        label_names (tuple[str, ...]): The names of the classes in the order in which mmdet numbers them, that of the
            categories in the file. Defaults to ().
        classes (tuple[str, ...]): The classes as the config names them. Defaults to ().
    """

    name: str
    ann_file: str
    num_images: int = 0
    num_boxes: int = 0
    errors: list[Exception] = field(default_factory=list)
    warnings: dict[str, int] = field(default_factory=dict)
    label_names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

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


@dataclass(frozen=True)
class DatasetUse:
    """How a config uses an annotation file and its images.

    Attributes:
        trains (bool): Whether a model is trained on it; then it is fatal if no box is usable. Defaults to False.
        evaluates (bool): Whether a model is evaluated on it; then a missing image is fatal. Defaults to False.
        drops_empty (bool): ``filter_cfg.filter_empty_gt``. Defaults to False.
        min_size (float): ``filter_cfg.min_size`` in pixels. Defaults to 0.
        indices (int | Sequence[int] | None): As of MMEngine's ``BaseDataset``. Defaults to None, all images.
        loads_masks (bool): Whether the pipeline reads segmentations. Defaults to False.
        polygons_only (bool): Whether it reads only polygons (``poly2mask=False``). Defaults to False.
        evaluator_needs (tuple[str, ...]): Fields of annotations that the evaluator reads: 'iscrowd',
            'segmentation'. Defaults to ().
        numbers_only (bool): Whether the evaluator takes numbers as ids only, as ``FasterCocoMetric``. Defaults to
            False.
        loader (ImageLoader | None): How images are decoded; None if only the pipeline knows where they are, then they
            are not looked for.
    """

    trains: bool = False
    evaluates: bool = False
    drops_empty: bool = False
    min_size: float = 0
    indices: int | Sequence[int] | None = None
    loads_masks: bool = False
    polygons_only: bool = False
    evaluator_needs: tuple[str, ...] = ()
    numbers_only: bool = False
    loader: ImageLoader | None = field(default_factory=ImageLoader)


def check_coco(
    ann_file: str | os.PathLike[str],
    img_prefix: str | os.PathLike[str] = '',
    classes: Sequence[str] | None = None,
    *,
    name: str = 'dataset',
    use: DatasetUse | None = None,
) -> CocoReport:
    """Check a COCO detection annotation file as mmdet's ``CocoDataset`` will read it.

    Nothing is raised: the findings are collected, the fatal ones in ``CocoReport.errors``.

    Args:
        ann_file (str | os.PathLike): The annotation file, with its folder.
        img_prefix (str | os.PathLike): Folder of the images. Defaults to '' (file names are taken as paths).
        classes (Sequence[str], optional): ``metainfo['classes']`` of the data set. If None, names are not
            compared. Defaults to None.
        name (str): Where the data set stands in the config, for the messages. Defaults to 'dataset'.
        use (DatasetUse, optional): How the config uses it. Defaults to None: nothing is known of that.

    Returns:
        CocoReport: The findings.
    """
    report = CocoReport(name, str(ann_file))
    with _no_garbage_collection():
        _check(report, Path(ann_file), str(img_prefix), classes, use or DatasetUse())
    return report


def read_label_names(ann_file: str | os.PathLike[str], classes: Sequence[str]) -> tuple[str, ...] | None:
    """The names of ``classes`` in the order in which mmdet numbers them: that of the file.

    Only the list of categories is parsed, so that a large file costs its reading alone.

    Args:
        ann_file (str | os.PathLike): A COCO annotation file.
        classes (Sequence[str]): ``metainfo['classes']`` of the data set.

    Returns:
        tuple[str, ...] | None: None if the file is missing or not readable as one of COCO's.
    """
    try:
        content = Path(ann_file).read_bytes()
        found = [match.end() for match in re.finditer(rb'"categories"\s*:\s*(?=\[)', content)]
        if len(found) == 1:
            categories, _ = json.JSONDecoder().raw_decode(content[found[0] :].decode())
        else:  # images may have a key of this name, too
            categories = json.loads(content)['categories']
        return _label_names([category['name'] for category in categories], classes)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _label_names(in_file: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    wanted = set(classes)
    return tuple(name for name in in_file if name in wanted)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Context without garbage collection, which takes half of the time on the millions of objects of COCO."""
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
    img_prefix: str,
    classes: Sequence[str] | None,
    use: DatasetUse,
) -> None:
    content = _read(ann_file, report)
    if content is None or not _has_required_fields(content, report) or not _has_right_types(content, report, use):
        return
    images, annotations = content['images'], content['annotations']
    report.num_images, report.num_boxes = len(images), len(annotations)
    _check_ids(content, report)
    if use.evaluates:
        # pycocotools notes the id of the annotation that a detection found, and reads 0 as none.
        report.warnings['annotations with the id 0, which COCO evaluation counts as not found (number them from 1)'] = (
            sum(each['id'] == 0 for each in annotations)
        )
    _check_references(content, report)
    if classes is not None:
        _check_classes(content['categories'], classes, report)
    sound = not report.errors
    boxes = _check_boxes(content, classes if isinstance(classes, (str, list, tuple)) else None, report, use)
    if boxes is None:
        return
    images = _kept_images(images, boxes, report, use)
    if sound and use.trains:
        _check_usable(boxes, images, report, use)
    _check_files(images if sound else content['images'], annotations, img_prefix, report, use)


def _read(path: Path, report: CocoReport) -> dict[str, Any] | None:
    if not path.is_file():
        report.errors.append(
            FileNotFoundError(f"ann_file '{path}' does not exist; {_neighbours(path)}; check data_root and ann_file")
        )
        return None
    data = path.read_bytes()
    encoding = json.detect_encoding(data)
    if encoding != 'utf-8' and data:
        report.errors.append(
            ValueError(
                f"ann_file '{path}' is encoded as {encoding}, with a byte order mark or two bytes per letter, which "
                'pycocotools does not read; save it as UTF-8 without a byte order mark (BOM)'
            )
        )
        return None
    try:
        content = json.loads(data)
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
        other = [i for i, entry in enumerate(content[part]) if not isinstance(entry, dict)]
        if other:
            report.errors.append(
                ValueError(
                    f"{len(other)} of {len(content[part])} {part} in '{report.ann_file}' are no objects with fields "
                    f'(first: number {other[0]}, {content[part][other[0]]!r:.60}); mend or remove them'
                )
            )
            continue
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


def _has_right_types(content: dict[str, Any], report: CocoReport, use: DatasetUse) -> bool:
    """Report numbers that are given as strings. Returns whether there are none."""
    before = len(report.errors)
    numbers: list[tuple[str, str, tuple[type, ...], str]] = []
    if use.numbers_only:
        parts = ('images', 'annotations', 'categories')
        numbers += [(part, 'id', _NUMBER, 'a number, which FasterCocoMetric needs') for part in parts]
    elif use.evaluator_needs:
        numbers.append(('annotations', 'id', _NUMBER, 'a number, which the evaluation needs'))
    for part, key, types, expected in (*_TYPES, *numbers):
        wrong = [entry for entry in content[part] if key in entry and not isinstance(entry[key], types)]
        if not use.numbers_only and (part, key) == ('annotations', 'id'):
            # pycocotools puts the ids into an array of numbers, which takes '12', too.
            wrong = [entry for entry in wrong if not _is_number(entry[key])]
        if wrong:
            quotes = ', without quotes' if any(isinstance(each[key], str) for each in wrong) else ''
            report.errors.append(
                ValueError(
                    f"{len(wrong)} of {len(content[part])} {part} in '{report.ann_file}' have a {key} that is not "
                    f'{expected} (first: id {wrong[0].get("id")!r}, {key}={wrong[0][key]!r:.60}); write '
                    f'{expected.partition(", which")[0]}{quotes}'
                )
            )
    return len(report.errors) == before


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


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


def _check_references(content: dict[str, Any], report: CocoReport) -> None:
    """Report ids that are strings in one place and numbers in another."""
    for key, part in (('image_id', 'images'), ('category_id', 'categories')):
        ids = {entry['id'] for entry in content[part]}
        texts = {str(each): each for each in ids}
        wrong = [a for a in content['annotations'] if a[key] not in ids and str(a[key]) in texts]
        if wrong:
            value = wrong[0][key]
            report.errors.append(
                ValueError(
                    f"{len(wrong)} of {len(content['annotations'])} annotations in '{report.ann_file}' have a {key} "
                    f'of another type than the id in {part} (first: annotation {wrong[0]["id"]}, {key}={value!r}, '
                    f'while {part} have id={texts[str(value)]!r}); write numbers in both places, without quotes'
                )
            )


def _check_classes(categories: list[dict[str, Any]], classes: Sequence[str], report: CocoReport) -> None:
    in_file = [category['name'] for category in categories]
    if isinstance(classes, str):
        report.errors.append(
            ValueError(f"classes='{classes}' is a string, not a tuple of names; write classes=('{classes}',)")
        )
        return
    if not isinstance(classes, (list, tuple)):
        report.errors.append(ValueError(f'classes={classes!r} are no names; write a tuple of them: classes=(...,)'))
        return
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        report.errors.append(ValueError(f'classes={listed(classes)} name {twice[0]!r} twice; name each class once'))
        return
    absent = [name for name in classes if name not in in_file]
    if absent:
        literal = listed(in_file, quoted=True)
        report.errors.append(
            ValueError(
                f"classes are {listed(classes)} but '{report.ann_file}' has the categories "
                f'{listed(in_file)}, without {listed(absent)}; set metainfo=dict(classes=({literal})) in '
                f"every data set and num_classes={len(in_file)} in the model's heads"
            )
        )
        return
    report.classes = tuple(classes)
    report.label_names = _label_names(in_file, classes)
    swapped = sum(a != b for a, b in zip(report.label_names, classes, strict=True)) if not _repeats(in_file) else 0
    remedy = f'classes=({listed(report.label_names, quoted=True)})' if len(classes) <= 10 else "the file's order"
    report.warnings[
        f'{OTHER_ORDER}, which decides: names in pictures and tables will be wrong, write {remedy} in every data set'
    ] = swapped


def _repeats(names: Sequence[Any]) -> bool:
    return len(set(names)) < len(names)


@dataclass
class _Boxes:
    """How mmdet reads the boxes of a file.

    Attributes:
        annotated (set): Ids of images with an annotation of any of the classes.
        used (int): Boxes that a model is trained on.
        unused (dict[str, int]): Why others are not, with how often.
    """

    annotated: set[Any]
    used: int
    unused: dict[str, int]


def _check_boxes(
    content: dict[str, Any], classes: Sequence[str] | None, report: CocoReport, use: DatasetUse
) -> _Boxes | None:
    """Count the boxes that mmdet skips; None if boxes are malformed."""
    annotations = content['annotations']
    box = _boxes([a['bbox'] for a in annotations])
    if box is None:
        malformed = [a for a in annotations if _boxes([a['bbox']]) is None]
        strings = any(isinstance(v, str) for a in malformed if isinstance(a['bbox'], list) for v in a['bbox'])
        report.errors.append(
            ValueError(
                f"{len(malformed)} annotations in '{report.ann_file}' have a bbox that is not four finite "
                f'numbers x, y, width, height (first: annotation {malformed[0]["id"]}, '
                f'bbox={malformed[0]["bbox"]!r:.60}); '
                f'{"write the numbers without quotes" if strings else "mend or remove them"}'
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
    crowd = np.array([bool(a.get('iscrowd', False)) for a in annotations], dtype=bool)

    low, high = box[:, :2], box[:, :2] + box[:, 2:]
    short = (box[:, 2:] < 1).any(axis=1)
    no_area = short | ~(area > 0)
    outside = ~no_area & (np.minimum(high, size) <= np.maximum(low, 0)).any(axis=1)
    partly = ~no_area & ~outside & ((low < -1) | (high > size + 1)).any(axis=1)
    loaded = listed & in_classes & ~no_area & ~outside & ~ignored
    no_mask = np.zeros(len(annotations), dtype=bool)
    if use.loads_masks or use.evaluator_needs:
        no_mask = _check_fields(annotations, loaded, listed & in_classes, report, use)
    with_boxes = {a['image_id'] for a, each in zip(annotations, loaded, strict=True) if each}
    annotated = {a['image_id'] for a, each in zip(annotations, listed & in_classes, strict=True) if each}

    hint = ''
    # Half the boxes sticking out, and none if the last two numbers are a corner: the wrong format.
    corners = (box[:, 2:] > low).all(axis=1) & (box[:, 2:] <= size + 1).all(axis=1)
    if len(box) and (partly.sum() * 2 > len(box)) and corners.all():
        hint = '; they look like x1, y1, x2, y2 where COCO has x, y, width, height'
    dropped = set(sizes) - annotated if use.drops_empty else set()
    report.warnings |= {
        'boxes under a pixel wide or high or without area (mmdet skips them)': int(no_area.sum()),
        'boxes outside their image (skipped)': int(outside.sum()),
        f'boxes partly outside their image (clipped{hint})': int(partly.sum()),
        'boxes of categories that are not among the classes (skipped)': int((~in_classes).sum()),
        'boxes of images that are not listed (skipped)': int((~listed).sum()),
        'boxes without a segmentation that the pipeline reads (not trained on)': int(no_mask.sum()),
        'images without a box (dropped)': len(dropped),
        'images without a box (kept as background)': len(set(sizes) - with_boxes - dropped),
    }
    unused = {
        'crowds, which are never trained on (write iscrowd=0 for single objects)': loaded & crowd,
        'marked to be ignored (write ignore=0)': ignored,
        'without area (write area = width x height)': ~short & ~(area > 0),
        'under a pixel wide or high': short,
        'outside their image': outside,
        'of categories that are not among the classes': ~in_classes,
        'of images that are not listed': ~listed,
        'without a segmentation that the pipeline reads': loaded & ~crowd & no_mask,
    }
    counts = {reason: int(which.sum()) for reason, which in unused.items()}
    return _Boxes(annotated, int((loaded & ~crowd & ~no_mask).sum()), {k: n for k, n in counts.items() if n})


def _check_fields(
    annotations: list[dict[str, Any]], loaded: np.ndarray, evaluated: np.ndarray, report: CocoReport, use: DatasetUse
) -> np.ndarray:
    """Report missing fields that masks or an evaluator need. Mark segmentations that mmdet ignores."""
    wanted = {'segmentation': loaded} if use.loads_masks else {}
    for key in use.evaluator_needs:
        wanted[key] = evaluated | wanted.get(key, evaluated)
    for key, which in wanted.items():
        # COCO's iscrowd=0 is there; an empty segmentation is none.
        lacking = [
            a['id']
            for a, each in zip(annotations, which, strict=True)
            if each and (not a.get(key) if key == 'segmentation' else a.get(key) is None)
        ]
        if lacking:
            reader = 'the pipeline (with_mask=True)' if use.loads_masks and key == 'segmentation' else 'the evaluator'
            remedy = {
                'segmentation': 'add polygons or RLE, remove these annotations, or train without masks: a model '
                "without mask head, with_mask=False and metric='bbox'",
                'iscrowd': "write 'iscrowd': 0",
            }[key]
            report.errors.append(
                ValueError(
                    f"{len(lacking)} of {len(annotations)} annotations in '{report.ann_file}' have no {key} (first: "
                    f'annotation {lacking[0]}), which {reader} needs; {remedy}'
                )
            )
    evaluates_masks = 'segmentation' in use.evaluator_needs
    malformed = [
        a['id']
        for a in annotations
        if 'segmentation' in wanted and _is_malformed(a.get('segmentation'), evaluates_masks)
    ]
    if malformed:
        report.errors.append(
            ValueError(
                f"{len(malformed)} of {len(annotations)} annotations in '{report.ann_file}' have a segmentation that "
                f'is neither RLE nor a list of polygons, each a list of numbers x1, y1, x2, y2, x3, y3, ... (first: '
                f'annotation {malformed[0]}); mend or remove them'
            )
        )
    if not use.loads_masks:
        return np.zeros(len(annotations), dtype=bool)
    rows = zip(annotations, loaded, strict=True)
    return np.array([each and not _is_mask(a.get('segmentation'), use.polygons_only) for a, each in rows], dtype=bool)


def _is_malformed(segmentation: Any, evaluated: bool) -> bool:
    """Whether pycocotools raises on a segmentation. Only the first number of each polygon is checked, for speed."""
    if isinstance(segmentation, list):
        # It takes a first polygon of two points for a box, and one point or none for nothing it knows.
        if evaluated and segmentation and isinstance(segmentation[0], list) and len(segmentation[0]) < 5:
            return True
        return not all(isinstance(each, list) and isinstance((each or [0])[0], _NUMBER) for each in segmentation)
    return not isinstance(segmentation, (dict, type(None)))


def _is_mask(segmentation: Any, polygons_only: bool) -> bool:
    """Whether mmdet's ``LoadAnnotations`` keeps an instance with this segmentation, instead of ignoring it."""
    if isinstance(segmentation, list):
        return any(isinstance(each, list) and len(each) >= 6 and len(each) % 2 == 0 for each in segmentation)
    if polygons_only or not isinstance(segmentation, dict):
        return False
    return segmentation.get('size') is not None and isinstance(segmentation.get('counts'), (list, str))


def _kept_images(
    images: list[dict[str, Any]], boxes: _Boxes, report: CocoReport, use: DatasetUse
) -> list[dict[str, Any]]:
    """The images that mmdet keeps after ``filter_cfg`` and ``indices``."""
    kept = [image for image in images if not use.drops_empty or image['id'] in boxes.annotated]
    large = [image for image in kept if min(image['width'], image['height']) >= use.min_size]
    small = f'images with a side under filter_cfg.min_size={use.min_size} (dropped)'
    report.warnings[small] = len(kept) - len(large)
    if isinstance(use.indices, int):
        return large[: use.indices] if use.indices >= 0 else large[use.indices :]
    if use.indices is not None:
        return [large[i] for i in use.indices if -len(large) <= i < len(large)]
    return large


def _check_usable(boxes: _Boxes, kept: list[dict[str, Any]], report: CocoReport, use: DatasetUse) -> None:
    """Report a training set without an image, or with annotations but no usable box."""
    small = next((count for what, count in report.warnings.items() if 'filter_cfg.min_size' in what), 0)
    reasons = ', '.join(f'{count} are {reason}' for reason, count in boxes.unused.items())
    if not kept and small:
        report.errors.append(
            ValueError(
                f'no image is left to train on: {small} of {report.num_images} images have a side under '
                f'filter_cfg.min_size={use.min_size}'
                f'{f", {report.num_images - small} have no box" if small < report.num_images else ""}; lower min_size '
                'or leave it out'
            )
        )
    elif boxes.used == 0 and (use.drops_empty or report.num_boxes):
        end = '' if kept else ', so no image is left'
        why = f': of {report.num_boxes} boxes {reasons}' if reasons else ''
        report.errors.append(ValueError(f"'{report.ann_file}' has no box that mmdet would use{end}{why}"))


def _check_files(
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    prefix: str,
    report: CocoReport,
    use: DatasetUse,
) -> None:
    if not report.num_images:
        report.errors.append(ValueError(f"'{report.ann_file}' lists no images"))
    if not images or use.loader is None:
        return
    names = [image['file_name'] for image in images]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        found = f"file names of several images (first: '{twice[0]}'), each trained on with its own boxes alone"
        report.warnings[found] = len(twice)
    paths = {os.path.join(prefix, name): i for i, name in enumerate(names)}
    missing = missing_files(list(paths))
    if missing:
        first = missing[0]
        if len(missing) == len(paths):
            found = f"none of {len(paths)} images looked for exists, first '{first}'; {_neighbours(Path(first))}"
            report.errors.append(FileNotFoundError(f'{found}; check data_root and data_prefix'))
            return
        found = f"of {len(paths)} images looked for do not exist (first: '{names[paths[first]]}')"
        if not use.evaluates:
            report.warnings[found] = len(missing)
        else:
            report.errors.append(
                FileNotFoundError(
                    f"{len(missing)} {found}, looked for as '{first}'; an evaluation stops at a missing image: add "
                    'the files, or remove the images from the annotation file'
                )
            )
    gone = set(missing)
    found_images = [(path, images[i]) for path, i in paths.items() if path not in gone]
    _check_sizes(found_images, annotations, report, use.trains, use.loader)


def _check_sizes(
    images: list[tuple[str, dict[str, Any]]],
    annotations: list[dict[str, Any]],
    report: CocoReport,
    trains: bool,
    loader: ImageLoader,
) -> None:
    """Compare the size of a few images with the annotated one; EXIF may turn an image."""
    images = [images[i] for i in spread(len(images), _LOOKED_INTO)]
    sizes = [(image['width'], image['height']) for _, image in images]
    other = other_sizes([path for path, _ in images], sizes, loader)
    if other:
        first, decoded = other[0]
        boxes: dict[Any, list[list[float]]] = {image['id']: [] for _, image in images}
        for each in annotations:
            if each['image_id'] in boxes:
                x, y, width, height = each['bbox']
                boxes[each['image_id']].append([x, y, x + width, y + height])
        unfit = sum(not boxes_fit(boxes[images[i][1]['id']], size, sizes[i]) for i, size in other)
        if trains and unfit == len(images):
            report.errors.append(
                ValueError(
                    f'the boxes of all {unfit} images looked into do not fit the decoded image, so none is left to '
                    f"train on (first: '{images[first][0]}', {decoded[0]}x{decoded[1]} when decoded, {sizes[first][0]}x"
                    f'{sizes[first][1]} in the file; {size_remedy(decoded, sizes[first])})'
                )
            )
            return
        found = (
            f"of {len(images)} images looked into have another size than annotated (first: '{images[first][0]}', "
            f'{decoded[0]}x{decoded[1]} when decoded, {sizes[first][0]}x{sizes[first][1]} in the file; '
            f'{size_remedy(decoded, sizes[first])})'
        )
        report.warnings[found] = len(other)


def _boxes(rows: list[Any]) -> np.ndarray | None:
    """``(N, 4)`` float64, or None if any row is not four finite numbers. A string is no number."""
    if not rows:
        return np.zeros((0, 4))
    try:
        box = np.array(rows)
    except ValueError:  # rows of different lengths
        return None
    if box.dtype.kind not in 'iuf' or box.shape != (len(rows), 4) or not np.isfinite(box).all():
        return None
    return box.astype(np.float64)


def _neighbours(path: Path) -> str:
    """The content of the nearest existing folder above ``path``."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    found = sorted(entry.name + '/' * entry.is_dir() for entry in folder.iterdir())
    return f"the folder '{folder}' holds {listed(found) or 'nothing'}"
