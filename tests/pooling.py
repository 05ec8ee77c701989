"""RoIAlign written out, to check what is pooled from instances."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def boxes_of(samples: Sequence[Any]) -> list[Tensor]:
    """The annotated boxes (n, 4) of each data sample."""
    return [getattr(each.gt_instances.bboxes, 'tensor', each.gt_instances.bboxes) for each in samples]


def pooled_boxes(feature: Tensor, boxes: Sequence[Tensor], width: int) -> Tensor:
    """Mean of 4x4 evenly spread points, read bilinearly, of all boxes: what RoIAlign's 2x2 cells of 2x2 points average.

    Args:
        feature (Tensor): (N, C, h, w).
        boxes (Sequence[Tensor]): Per image (n, 4), in pixels of the input.
        width (int): Width of the input in pixels.

    Returns:
        Tensor: (sum of n, C).
    """
    h, w = feature.shape[2:]
    steps = (torch.arange(4) + 0.5) / 4
    rows = []
    for i, found in enumerate(boxes):
        for x1, y1, x2, y2 in (found * (w / width)).tolist():
            y, x = torch.meshgrid(y1 + steps * (y2 - y1), x1 + steps * (x2 - x1), indexing='ij')
            grid = torch.stack([x * 2 / w - 1, y * 2 / h - 1], -1).to(feature.dtype)
            read = F.grid_sample(feature[i : i + 1], grid[None], padding_mode='border', align_corners=False)
            rows.append(read.mean((2, 3))[0])
    return torch.stack(rows)
