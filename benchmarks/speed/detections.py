"""Random ground truth and detections in COCO's format, for the evaluation of detectors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

HEIGHT, WIDTH = 480, 640
#: A pair (ground truth, prediction) of an image, as mmdet's ``CocoMetric`` keeps it.
Result = tuple[dict[str, Any], dict[str, Any]]


def random_detections(
    images: int, classes: int, detections: int, seed: int = 0, masks: bool = True
) -> tuple[dict[str, Any], list[Result]]:
    """Annotations, and what a mediocre detector finds.

    Every tenth image has no annotation and every eleventh no detection; one annotation in thirty is a crowd, sides are
    log-uniform from 4 px. Two thirds of the detections are shaken annotations (a tenth of them of another class), the
    others lie anywhere. Scores are rounded to 0.01, so that many are equal.

    Args:
        images (int): Images of 480 x 640 px, >= 1.
        classes (int): Categories, >= 1; their ids are odd numbers.
        detections (int): Detections of each image that has any.
        seed (int): Seed. Defaults to 0.
        masks (bool): Whether detections have masks, too. Defaults to True.

    Returns:
        tuple[dict, list]: The content of an annotation file, and the results of the images.
    """
    rng = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    results: list[Result] = []
    for image in range(images):
        truth = _boxes(rng, 0 if image % 10 == 9 else 1 + int(rng.poisson(7)))
        labels = rng.integers(classes, size=len(truth))
        for box, label in zip(truth, labels.tolist(), strict=True):
            annotations.append({'id': len(annotations) + 1, 'image_id': image, **_annotation(rng, box, label)})
        found, found_labels = _found(rng, truth, labels, 0 if image % 11 == 10 else detections, classes)
        result: dict[str, Any] = {
            'img_id': image,
            'bboxes': found.astype(np.float32),
            'scores': rng.uniform(size=len(found)).round(2).astype(np.float32),
            'labels': found_labels,
        }
        if masks:
            result['masks'] = [coco_mask.frPyObjects([_octagon(box)], HEIGHT, WIDTH)[0] for box in found]
        results.append(({'width': WIDTH, 'height': HEIGHT, 'img_id': image}, result))
    content = {
        'images': [{'id': i, 'file_name': f'{i}.jpg', 'width': WIDTH, 'height': HEIGHT} for i in range(images)],
        'annotations': annotations,
        'categories': [{'id': 2 * i + 1, 'name': name} for i, name in enumerate(class_names(classes))],
    }
    return content, results


def class_names(classes: int) -> tuple[str, ...]:
    """Names of so many classes."""
    return tuple(f'class {i}' for i in range(classes))


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 4) corners in the image, in pixels."""
    size = np.exp(rng.uniform(np.log(4), np.log([WIDTH, HEIGHT]), (count, 2)))
    corner = rng.uniform(size=(count, 2)) * ([WIDTH, HEIGHT] - size)
    return np.concatenate([corner, corner + size], 1)


def _annotation(rng: np.random.Generator, box: np.ndarray, label: int) -> dict[str, Any]:
    x1, y1, x2, y2 = box.round(2).tolist()
    crowd = bool(rng.uniform() < 1 / 30)
    outline = _octagon(box)
    encoded = coco_mask.frPyObjects([outline], HEIGHT, WIDTH)[0]
    # A crowd's mask is run-length encoded in COCO, uncompressed; others are polygons.
    segmentation: Any = _uncompressed(encoded) if crowd else [outline]
    return {
        'category_id': 2 * label + 1,
        'bbox': [x1, y1, x2 - x1, y2 - y1],
        'area': float(coco_mask.area(encoded)),
        'segmentation': segmentation,
        'iscrowd': int(crowd),
    }


def _found(
    rng: np.random.Generator, truth: np.ndarray, labels: np.ndarray, count: int, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (count, 4) and labels (count,) of detections."""
    anywhere, other = _boxes(rng, count), rng.integers(classes, size=count)
    if not len(truth):
        return anywhere, other
    source = rng.integers(len(truth), size=count)
    size = truth[source, 2:] - truth[source, :2]
    shaken = truth[source] + rng.normal(0, 0.07, (count, 4)) * np.tile(size, 2)
    shaken = np.clip(shaken, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    shaken[:, 2:] = np.maximum(shaken[:, 2:], shaken[:, :2] + 1)
    near = rng.uniform(size=count) < 2 / 3
    right = near & (rng.uniform(size=count) < 0.9)
    return np.where(near[:, None], shaken, anywhere), np.where(right, labels[source], other)


def _octagon(box: Sequence[float] | np.ndarray) -> list[float]:
    """x, y of the corners of an octagon in a box."""
    x1, y1, x2, y2 = (float(v) for v in box)
    dx, dy = (x2 - x1) / 4, (y2 - y1) / 4
    corners = [
        x1 + dx, y1, x2 - dx, y1, x2, y1 + dy, x2, y2 - dy, x2 - dx, y2, x1 + dx, y2, x1, y2 - dy, x1, y1 + dy,
    ]  # fmt: skip
    return [round(v, 2) for v in corners]


def _uncompressed(encoded: dict[str, Any]) -> dict[str, Any]:
    """The run lengths of a mask, column by column, beginning with what is outside."""
    flat = coco_mask.decode(encoded).ravel(order='F')
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {'size': [HEIGHT, WIDTH], 'counts': runs if flat[0] == 0 else [0, *runs]}
