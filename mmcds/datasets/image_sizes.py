"""Compares the size of a decoded image with the annotated one."""

from collections.abc import Sequence

import numpy as np

#: Largest difference in pixels that counts as rounding by an annotation tool.
SIZE_TOLERANCE = 1


def differs(decoded: Sequence[float], annotated: Sequence[float]) -> bool:
    """Whether two sizes (width, height) differ by more than :data:`SIZE_TOLERANCE`."""
    return any(abs(a - b) > SIZE_TOLERANCE for a, b in zip(decoded, annotated, strict=True))


def boxes_fit(boxes: Sequence[Sequence[float]], decoded: Sequence[float], annotated: Sequence[float]) -> bool:
    """Whether all boxes lie in the decoded image, after clipping to the annotated size as mmdet does.

    Args:
        boxes (Sequence[Sequence[float]]): x1, y1, x2, y2 in pixels, N of them.
        decoded (Sequence[float]): Width and height of the decoded image.
        annotated (Sequence[float]): Width and height in the annotation file.
    """
    high = np.array(boxes, dtype=np.float64).reshape(-1, 4)[:, 2:]
    return bool((np.minimum(high, np.array(annotated)) <= np.array(decoded) + SIZE_TOLERANCE).all())


def size_remedy(decoded: Sequence[float], annotated: Sequence[float]) -> str:
    """Remedy for an image of another size. Rotation by an EXIF tag exchanges width and height."""
    mend = 'write the decoded width and height into the annotation file'
    if differs(decoded, tuple(reversed(annotated))):
        return f'{mend}, or use the images it was made for'
    return f"if EXIF turns the image, set color_type='color_ignore_orientation' in LoadImageFromFile; else {mend}"
