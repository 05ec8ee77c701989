"""Boxes in pixels: upright ones (n, 4) as (x1, y1, x2, y2), rotated ones (n, 5) as (cx, cy, w, h, angle).

An angle is in radians, clockwise in the image, as in MMRotate: the side ``w`` has the direction (cos, sin).
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def is_rotated(boxes: Tensor) -> bool:
    """Whether boxes are rotated (n, 5)."""
    return boxes.shape[1] == 5


def as_rotated(boxes: Tensor) -> Tensor:
    """Boxes of either kind as rotated ones (n, 5); an upright box has the angle 0."""
    if is_rotated(boxes):
        return boxes
    return torch.cat([centres(boxes), boxes[:, 2:] - boxes[:, :2], torch.zeros_like(boxes[:, :1])], 1)


def join_boxes(parts: Sequence[Tensor]) -> Tensor:
    """Join boxes (n_i, 4 or 5); all become rotated if a part is."""
    return torch.cat([as_rotated(part) for part in parts] if any(map(is_rotated, parts)) else list(parts))


def centres(boxes: Tensor) -> Tensor:
    """(x, y) of the centres (n, 2)."""
    return boxes[:, :2] if is_rotated(boxes) else (boxes[:, :2] + boxes[:, 2:]) / 2


def have_area(boxes: Tensor) -> Tensor:
    """Whether each box has finite coordinates and sides above 0: (n,), bool."""
    wide = boxes[:, 2:4] > 0 if is_rotated(boxes) else boxes[:, 2:] > boxes[:, :2]
    return boxes.isfinite().all(1) & wide.all(1)


def scale_boxes(boxes: Tensor, factor: Tensor) -> Tensor:
    """Scale an image with its boxes.

    Args:
        boxes (Tensor): Boxes of either kind.
        factor (Tensor): Factors of x and y (2,). They differ a little where a side of the image is rounded.

    Returns:
        Tensor: The boxes in the scaled image. A rotated box keeps its angle; its sides become as long as the scaled
        sides are, so with different factors it is the nearest rectangle.
    """
    if not is_rotated(boxes):
        return boxes * factor.repeat(2)
    cos, sin = boxes[:, 4:].cos(), boxes[:, 4:].sin()
    directions = torch.stack([torch.cat([cos, sin], 1), torch.cat([-sin, cos], 1)], 1)
    return torch.cat([boxes[:, :2] * factor, boxes[:, 2:4] * (directions * factor).norm(dim=2), boxes[:, 4:]], 1)


def move_boxes(boxes: Tensor, shares: Tensor, scales: Tensor | None = None) -> Tensor:
    """Move boxes along their own sides, and scale them about their centres.

    Args:
        boxes (Tensor): Boxes of either kind.
        shares (Tensor): How far, as shares of the sides (w, h), (n, 2).
        scales (Tensor, optional): Factors of the sides (n, 2). Defaults to None: 1.
    """
    if is_rotated(boxes):
        x, y = (shares * boxes[:, 2:4]).unbind(1)
        cos, sin = boxes[:, 4].cos(), boxes[:, 4].sin()
        centre = boxes[:, :2] + torch.stack([x * cos - y * sin, x * sin + y * cos], 1)
        return torch.cat([centre, boxes[:, 2:4] if scales is None else boxes[:, 2:4] * scales, boxes[:, 4:]], 1)
    wh = boxes[:, 2:] - boxes[:, :2]
    if scales is None:
        return boxes + (shares * wh).repeat(1, 2)
    centre, half = centres(boxes) + shares * wh, wh * scales / 2
    return torch.cat([centre - half, centre + half], 1)


def towards_middle(boxes: Tensor, sizes: Tensor) -> Tensor:
    """For each side (w, h) of a box, 1 or -1: the sign of a move along it towards the middle of the image.

    Args:
        boxes (Tensor): Boxes of either kind.
        sizes (Tensor): (w, h) of the image of each box (n, 2).

    Returns:
        Tensor: (n, 2).
    """
    way = sizes / 2 - centres(boxes)
    if is_rotated(boxes):
        cos, sin = boxes[:, 4].cos(), boxes[:, 4].sin()
        way = torch.stack([way[:, 0] * cos + way[:, 1] * sin, way[:, 1] * cos - way[:, 0] * sin], 1)
    return torch.where(way > 0, 1.0, -1.0).to(boxes.dtype)


def clip_boxes(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Clip upright boxes to their images, ``sizes`` (n, 2) as (w, h). Rotated ones stay as they are."""
    return boxes if is_rotated(boxes) else torch.minimum(boxes.clamp(min=0), sizes.repeat(1, 2))


def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU of boxes (n, ...) and others (m, ...): (n, m)."""
    return _overlaps(boxes, others, 'iou')


def covered_share(boxes: Tensor, others: Tensor) -> Tensor:
    """Share of the area of each box (n, ...) that each of others (m, ...) covers: (n, m), in [0, 1]."""
    return _overlaps(boxes, others, 'iof')


def paired_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU of row k of both, of the same kind: (n,)."""
    from mmcv.ops import bbox_overlaps, box_iou_rotated

    if is_rotated(boxes):
        paired: Tensor = box_iou_rotated(boxes.float(), others.float(), aligned=True).to(boxes.dtype)
        return paired
    # NaN for two boxes without an area.
    shares: Tensor = bbox_overlaps(boxes.contiguous(), others.contiguous(), aligned=True).nan_to_num(0)
    return shares


def _overlaps(boxes: Tensor, others: Tensor, mode: str) -> Tensor:
    # Imported here: classification works without mmcv's compiled operators.
    from mmcv.ops import bbox_overlaps, box_iou_rotated

    if is_rotated(boxes) or is_rotated(others):
        rotated = [as_rotated(each).float().contiguous() for each in (boxes, others)]
        shares: Tensor = box_iou_rotated(*rotated, mode=mode).to(boxes.dtype)
    else:
        shares = bbox_overlaps(boxes.contiguous(), others.contiguous(), mode=mode)
    return shares


def transform_points(points: Tensor, transforms: Tensor) -> Tensor:
    """Points (..., 2) as (x, y), transformed by homographies (..., 3, 3), which are broadcast to the points."""
    # Without a matrix product, which a GPU may compute in TF32 and autocast in 16 bits: off by pixels.
    columns = transforms.unbind(-1)
    moved = points[..., :1] * columns[0] + points[..., 1:] * columns[1] + columns[2]
    return moved[..., :2] / moved[..., 2:]


def transform_boxes(boxes: Tensor, transform: Tensor) -> Tensor:
    """The upright boxes (n, 4) around upright boxes (n, 4) transformed by a homography (3, 3)."""
    x1, y1, x2, y2 = boxes.unbind(1)
    corners = torch.stack([x1, y1, x2, y1, x2, y2, x1, y2], 1).view(-1, 4, 2)
    moved = transform_points(corners, transform)
    return torch.cat([moved.amin(1), moved.amax(1)], 1)


def contains_centre(boxes: Tensor, size: Tensor) -> Tensor:
    """Whether each box has its centre inside an image of ``size`` (h, w), or (n, 2): (n,), bool."""
    centre = centres(boxes)
    return ((centre >= 0) & (centre < size.flip(-1))).all(1)
