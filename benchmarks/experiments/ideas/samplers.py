"""Other places to contrast."""

from typing import Any

import torch
from torch import Tensor

from mmcds.models.samplers import DenseSampler, InstanceSampler, Samples, ViewPair
from mmcds.models.samplers.instance import covered_share
from mmcds.models.step_data import all_anchors

from .registry import MODELS


@MODELS.register_module()
class NearBackground(InstanceSampler):
    """Background beside the objects instead of anywhere: their boxes, moved by half to all of their size."""

    def free_boxes(self, boxes: Tensor, size: Tensor) -> Tensor:
        """Boxes moved off their objects, at most ``background`` of them."""
        boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
        if not len(boxes):
            return super().free_boxes(boxes, size)
        chosen = boxes[torch.randint(len(boxes), (self.background * 4,), device=boxes.device)]
        wh = chosen[:, 2:] - chosen[:, :2]
        angle = torch.rand(len(chosen), 1, device=boxes.device) * 2 * torch.pi
        way = torch.cat([angle.cos(), angle.sin()], 1) * (0.5 + 0.5 * torch.rand_like(angle))
        centre = (chosen[:, :2] + chosen[:, 2:]) / 2 + way * wh
        half = wh * (0.7 + 0.7 * torch.rand_like(wh)) / 2
        moved = torch.cat([centre - half, centre + half], 1)
        limit = size.flip(0).to(boxes.dtype)
        inside = ((moved[:, :2] >= 0) & (moved[:, 2:] <= limit)).all(1)
        moved = moved[inside]
        if len(moved):
            moved = moved[covered_share(moved, boxes).amax(1) <= self.background_iou]
        return moved[: self.background]


@MODELS.register_module()
class BackgroundClass(InstanceSampler):
    """Background is a class of its own: its boxes are anchors, and each other's positives."""

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def sample(self, views: ViewPair) -> Samples:
        """As the parent's, but all are anchors with a label."""
        found = super().sample(views)
        return all_anchors(found.rois, torch.where(found.is_anchor, found.labels, self.num_classes))


@MODELS.register_module()
class JitteredInstances(InstanceSampler):
    """The second view's boxes are off by up to ``jitter`` of their size at each side, as proposals are."""

    def __init__(self, jitter: float = 0.15, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Not `jitter`, which is the parent's: further boxes.
        self.moved = jitter

    def sample(self, views: ViewPair) -> Samples:
        """As the parent's, with the boxes of view 2 moved."""
        found = super().sample(views)
        rois = found.rois[1].clone()
        wh = (rois[:, 3:] - rois[:, 1:3]).repeat(1, 2)
        rois[:, 1:] += (torch.rand_like(wh) * 2 - 1) * self.moved * wh
        return Samples((found.rois[0], rois), found.labels, found.is_anchor)


@MODELS.register_module()
class LabelledGrid(DenseSampler):
    """Grid points with a class: that of the smallest box around them, or background, a class of its own."""

    def __init__(self, num_classes: int, grid_size: int = 7) -> None:
        super().__init__(grid_size)
        self.num_classes = num_classes

    def sample(self, views: ViewPair) -> Samples:
        """As the parent's, with labels."""
        found = super().sample(views)
        labels = torch.full_like(found.labels, self.num_classes)
        for i, (boxes, classes) in enumerate(zip(views.boxes[0], views.labels, strict=True)):
            mine = (found.rois[0][:, 0] == i).nonzero().flatten()
            if not len(boxes) or not len(mine):
                continue
            x, y = found.rois[0][mine, 1:].unbind(1)
            inside = (x[:, None] > boxes[:, 0]) & (x[:, None] < boxes[:, 2])
            inside &= (y[:, None] > boxes[:, 1]) & (y[:, None] < boxes[:, 3])
            area = (boxes[:, 2:] - boxes[:, :2]).prod(1).expand(len(mine), -1).masked_fill(~inside, torch.inf)
            smallest = area.min(1)
            hit = smallest.values.isfinite()
            labels[mine[hit]] = classes[smallest.indices[hit]]
        return all_anchors(found.rois, labels)
