"""One drawn image of shapes with its exact boxes and outlines."""

from typing import NamedTuple

import cv2
import numpy as np

from mmcds.utils.errors import check_count

CLASSES = ('circle', 'square', 'triangle', 'cross')
# Colour hints at the class, so that a first model learns something within minutes; the hues overlap, so
# that the last per cent have to come from the shape.
_HUES = (0.0, 90.0, 180.0, 270.0)
_HUE_SPREAD = 18.0
# Angle, in radians, of the axis along which a kind is stretched. A square, whose corners are at 0, 90, ... degrees, is
# stretched along a side: it becomes a rectangle.
_AXES = (0.0, np.pi / 4, 0.0, 0.0)


class Scene(NamedTuple):
    """One drawn image with its annotation.

    Boxes and polygons describe whole objects: a part hidden under another object is included.
    Coordinates are COCO's, continuous, pixel ``i`` covering ``[i, i + 1)``.

    Attributes:
        image (np.ndarray): ``(size, size, 3)`` uint8, BGR as OpenCV writes it.
        boxes (np.ndarray): ``(N, 4)`` float32, ``x1, y1, x2, y2`` in pixels, inside the image.
        labels (np.ndarray): ``(N,)`` int64, indices into ``CLASSES``.
        polygons (list[np.ndarray]): N outlines, each ``(K, 2)`` float32, ``x, y`` in pixels.
        corners (np.ndarray): ``(N, 4, 2)`` float32, corners of the rotated boxes along the objects' own axes.
        pixels (np.ndarray): ``(size, size)`` uint8, class of each pixel as it is drawn: 0 for the background, label + 1
            for the object that is seen there. OpenCV draws the border line, too, so an object reaches about a pixel
            further than its outline.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    polygons: list[np.ndarray]
    corners: np.ndarray
    pixels: np.ndarray


def shape_polygon(
    label: int, center: tuple[float, float], radius: float, angle: float, stretch: float = 1.0
) -> np.ndarray:
    """Outline of one shape.

    The circumradii differ so that the four kinds cover similar areas; size must not give the class away.

    Args:
        label (int): Index into ``CLASSES``.
        center (tuple[float, float]): ``x, y`` in pixels.
        radius (float): Radius, in pixels, of the circle of about the same area.
        angle (float): Rotation in radians.
        stretch (float): Ratio by which it becomes longer than wide, at the same area, >= 1: a square becomes a
            rectangle, a circle an ellipse. Defaults to 1.

    Returns:
        np.ndarray: ``(K, 2)`` float32, ``x, y`` in pixels.
    """
    name = CLASSES[label]
    if name == 'cross':
        arm, half = 1.2, 0.36
        corner = np.array([[arm, -half], [arm, half], [half, half]])
        turns = np.arange(4) * np.pi / 2
        points = np.concatenate([corner @ _rotation(turn).T for turn in turns])
    else:
        corners, circumradius = {'circle': (32, 1.0), 'square': (4, 1.2), 'triangle': (3, 1.35)}[name]
        theta = np.arange(corners) * 2 * np.pi / corners
        points = circumradius * np.stack([np.cos(theta), np.sin(theta)], axis=1)
    if stretch != 1:
        axes = _rotation(_AXES[label])
        points = points @ axes * [stretch**0.5, stretch**-0.5] @ axes.T
    return (points @ _rotation(angle).T * radius + np.asarray(center)).astype(np.float32)


def own_corners(polygon: np.ndarray, center: tuple[float, float], angle: float) -> np.ndarray:
    """Corners of the rotated box around an outline, along the axes that ``angle`` turned.

    Args:
        polygon (np.ndarray): ``(K, 2)``, ``x, y`` in pixels.
        center (tuple[float, float]): The point that it was turned about.
        angle (float): Rotation in radians.

    Returns:
        np.ndarray: ``(4, 2)`` float32.
    """
    own = (polygon - np.asarray(center)) @ _rotation(angle)
    (x1, y1), (x2, y2) = own.min(axis=0), own.max(axis=0)
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
    return (corners @ _rotation(angle).T + np.asarray(center)).astype(np.float32)


def draw_scene(rng: np.random.Generator, size: int = 160, max_objects: int = 6, stretch: float = 1.0) -> Scene:
    """Draw one image of 1 to ``max_objects`` shapes, partly overlapping, on a textured background.

    Args:
        rng (np.random.Generator): The only source of randomness.
        size (int): Side of the square image in pixels, at least 64. Defaults to 160.
        max_objects (int): Largest number of objects, at least 1. Defaults to 6.
        stretch (float): Of all shapes, see :func:`shape_polygon`. Defaults to 1.

    Returns:
        Scene: Image, boxes, labels, outlines, rotated boxes and classes of pixels.

    Raises:
        ValueError: If ``size`` or ``max_objects`` is too small.
    """
    check_count('size', size, 64)
    check_count('max_objects', max_objects, 1)
    image = _background(rng, size)
    boxes: list[np.ndarray] = []
    labels: list[int] = []
    polygons: list[np.ndarray] = []
    corners: list[np.ndarray] = []
    pixels = np.zeros((size, size), np.uint8)
    wanted = int(rng.integers(1, max_objects + 1))
    # A crowded image may have no room left: after some tries it keeps fewer objects.
    for _ in range(20 * wanted):
        if len(boxes) == wanted:
            break
        label = int(rng.integers(len(CLASSES)))
        # The logarithm of the size is uniform: as many small objects as large ones.
        radius = size * float(np.exp(rng.uniform(np.log(0.08), np.log(0.18))))
        reach = 1.4 * radius * stretch**0.5  # no shape reaches further from its centre
        low, high = reach, size - reach
        center = (float(rng.uniform(low, high)), float(rng.uniform(low, high)))
        angle = float(rng.uniform(0, 2 * np.pi))
        polygon = shape_polygon(label, center, radius, angle, stretch)
        box = np.concatenate([polygon.min(axis=0), polygon.max(axis=0)])
        if any(_overlap(box, other) > 0.2 for other in boxes):
            continue
        pixels[_paint(rng, image, polygon, _HUES[label])] = label + 1
        corners.append(own_corners(polygon, center, angle + _AXES[label]))
        boxes.append(box)
        labels.append(label)
        polygons.append(polygon)
    noise = rng.normal(0, rng.uniform(2, 6), image.shape)
    return Scene(
        np.clip(image + noise, 0, 255).astype(np.uint8),
        np.stack(boxes).astype(np.float32),
        np.array(labels, dtype=np.int64),
        polygons,
        np.stack(corners),
        pixels,
    )


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Smooth blotches and a few thin lines: ``(size, size, 3)`` float32 in [0, 255]."""
    cells = int(rng.integers(3, 12))
    blotches = rng.normal(rng.uniform(60, 200, 3), rng.uniform(5, 20), (cells, cells, 3))
    image = cv2.resize(blotches.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(0, 5))):
        start, end = rng.integers(0, size, (2, 2)).tolist()
        colour = rng.uniform(0, 255, 3).tolist()
        cv2.line(image, start, end, colour, int(rng.integers(1, 3)), cv2.LINE_AA)
    return np.clip(image, 0, 255)


def _paint(rng: np.random.Generator, image: np.ndarray, polygon: np.ndarray, hue: float) -> np.ndarray:
    """Paint one object into ``image`` (float32), anti-aliased, in a colour that stands out from below it.

    Returns where it is seen, ``(size, size)`` bool: where its share of the colour is more than half.
    """
    mask = np.zeros(image.shape[:2], np.uint8)
    # OpenCV puts pixel centres at whole numbers, COCO at halves; the shift gives 1/16 pixel.
    cv2.fillPoly(mask, [np.round((polygon - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    below = image[mask > 127].mean(axis=0)
    colours = _colours(rng, hue)
    contrast = np.abs(colours - below).max(axis=1)
    colour = colours[np.argmax(np.minimum(contrast, 100))]  # the first of enough contrast, else the best
    alpha = mask[..., None].astype(np.float32) / 255
    image *= 1 - alpha
    image += alpha * np.clip(colour + _texture(rng, image.shape[0])[..., None], 0, 255)
    return mask > 127


def _colours(rng: np.random.Generator, hue: float, count: int = 16) -> np.ndarray:
    """Colours of about one hue (in degrees), ``(count, 3)`` float32, BGR in [0, 255]."""
    hsv = np.stack(
        [
            rng.normal(hue, _HUE_SPREAD, count) % 360,
            rng.uniform(0.5, 1.0, count),
            rng.uniform(0.35, 1.0, count),
        ],
        axis=-1,
    )
    return cv2.cvtColor(hsv[None].astype(np.float32), cv2.COLOR_HSV2BGR)[0] * 255


def _texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Brightness added to an object's colour, ``(size, size)`` float64: flat, slope, stripes or speckle."""
    kind = int(rng.integers(4))
    amplitude = rng.uniform(10, 30)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:size, :size]
    along = x * np.cos(angle) + y * np.sin(angle)
    if kind == 1:
        return amplitude * 4 * (along - along.mean()) / size
    if kind == 2:
        return amplitude * np.sign(np.sin(along * 2 * np.pi / rng.uniform(4, 12)))
    if kind == 3:
        return rng.normal(0, amplitude, (size, size))
    return np.zeros((size, size))


def _overlap(box: np.ndarray, other: np.ndarray) -> float:
    """Intersection of two boxes over the area of the smaller one, in [0, 1]."""
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    smaller = min(np.prod(box[2:] - box[:2]), np.prod(other[2:] - other[:2]))
    return float(np.prod(np.clip(sides, 0, None)) / smaller)


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


#: Its older name here.
at_least = check_count
