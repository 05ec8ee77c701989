"""Contrast of annotated objects."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmcds.compat.old_names import renamed_method
from mmcds.registry import MODELS
from mmcds.utils.boxes import (
    clip_boxes,
    contains_centre,
    covered_share,
    have_area,
    iou,
    is_rotated,
    join_boxes,
    move_boxes,
    paired_iou,
    scale_boxes,
    towards_middle,
    transform_boxes,
)
from mmcds.utils.errors import check_count, check_flag, check_range, has_no_effect

from ..parts import Sampler
from ..step_data import Samples, ViewPair

#: Lowest and highest IoU of a near box with its object.
NEAR_IOU = (0.1, 0.4)


@MODELS.register_module()
class InstanceSampler(Sampler):
    """Samples ground-truth boxes, pooled with RoIAlign at each tap. The label is the class of the box.

    Rotated boxes are pooled with RoIAlignRotated. Boxes without area or with coordinates that are not finite are left
    out.

    Args:
        roi_size (int): Cells per side that a box is pooled to, >= 1. Each is the mean of four points. The
            projectors average over the cells, so few are enough; their number is most of the cost of
            the contrast on a CPU. Defaults to 2.
        max_per_image (int): Largest number of boxes per image; a random subset if it has more, >= 1.
            Defaults to 64.
        background (int): Random background boxes per image, as negatives for all anchors; >= 0.
            Defaults to 0.
        background_iou (float): Largest share of such a box's own area that any annotated box may cover, including
            crowds and other ignored regions, in [0, 1]. Defaults to 0.1.
        one_class_background (int): Value that replaces ``background=0`` if the data set has one class, whose
            objects are no negatives of each other; >= 0. Defaults to 8.
        jitter (float): Adds one jittered box per object as a further positive, moved by up to this share of its sides
            and scaled by up to this share, in [0, 0.5]. Defaults to 0: none.
        jitter_weighted (bool): Whether the weight of a jittered box as a positive is its IoU with its object, instead
            of 1. Defaults to False.
        near (int): Boxes per object that overlap it little, as negatives for all anchors, so that the embedding learns
            where an object ends; >= 0. Defaults to 0.
        near_iou (tuple[float, float]): Lowest and highest IoU of such a box with its object, within (0, 1]. A box is
            left out if it overlaps any other object by more, if clipping to the image takes it out of the range, or,
            for rotated boxes, which are not clipped, if its centre lies outside. Defaults to (0.1, 0.4).

    Raises:
        ValueError: If an argument is out of its range or has no effect, or ``jitter_weighted`` is no boolean.
    """

    indexed_by_image = True
    in_pixels = True
    #: Whether the labels are the classes of the data set. Set it to False in a subclass with labels of its own: it then
    #: gets no background as negatives if the data set has one class.
    labels_are_classes = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        renamed_method(cls, '_choose', 'choose')

    def __init__(
        self,
        roi_size: int = 2,
        max_per_image: int = 64,
        background: int = 0,
        background_iou: float = 0.1,
        one_class_background: int = 8,
        jitter: float = 0.0,
        jitter_weighted: bool = False,
        near: int = 0,
        near_iou: tuple[float, float] = NEAR_IOU,
    ) -> None:
        self.roi_size = check_count('sampler.roi_size', roi_size, 1)
        self.max_per_image = check_count('sampler.max_per_image', max_per_image, 1)
        self.background = check_count('sampler.background', background, 0)
        self.background_iou = check_range('sampler.background_iou', background_iou, 0, 1)
        #: Whether ``background`` was set because the data set has one class, not by the config.
        self.is_automatic = False
        self.one_class_background = check_count('sampler.one_class_background', one_class_background, 0)
        self.jitter = check_range('sampler.jitter', jitter, 0, 0.5)
        self.jitter_weighted = check_flag('sampler.jitter_weighted', jitter_weighted)
        self.near = check_count('sampler.near', near, 0)
        if not isinstance(near_iou, Sequence) or isinstance(near_iou, str) or len(near_iou) != 2:
            raise ValueError(f'sampler.near_iou={near_iou!r} is no range; give two numbers, such as (0.1, 0.4)')
        low, high = near_iou
        check_range('sampler.near_iou', low, 0, open_low=True)
        self.near_iou = (low, check_range('sampler.near_iou', high, low, 1, open_low=True))
        if jitter_weighted and not jitter:
            raise has_no_effect('sampler.jitter_weighted', jitter_weighted, 'jitter=0', 'set jitter=0.2')
        if self.near_iou != NEAR_IOU and not near:
            raise has_no_effect('sampler.near_iou', near_iou, 'near=0', 'set near=2')

    @property
    def needs_map(self) -> bool:  # type: ignore[override]
        """Whether the config sets background boxes: they are chosen in view 1 and mapped to view 2."""
        return bool(self.background) and not self.is_automatic

    def sample(self, views: ViewPair) -> Samples:
        """The boxes of all images: objects, jittered boxes of them, boxes near them, and background.

        Args:
            views (ViewPair): The batch.

        Returns:
            Samples: ``rois`` are (M, 5) as (image, x1, y1, x2, y2) in pixels of each view's input; if the annotated
            boxes are rotated, (M, 6) as (image, cx, cy, w, h, angle), background boxes with the angle 0.
        """
        # All images at once: a loop would launch kernels and sync the device once per image.
        device, counts = views.image_labels.device, [len(labels) for labels in views.labels]
        joined = [torch.cat(boxes) for boxes in (views.boxes[:1] if views.single else views.boxes)]
        labels, image = torch.cat(views.labels), _image_of_each(counts).to(device)
        keep = self.choose(*joined)
        if max(counts, default=0) > self.max_per_image:
            keep = self._subset(keep, image)
        boxes, labels, image = [view[keep] for view in joined], labels[keep], image[keep]
        parts = [_Boxes(boxes, labels, image)]
        if self.jitter:
            parts.append(self._jittered(boxes, labels, image))
        if self.near:
            parts.append(self._near(boxes, image, views))
        # Background of one class is optional: without a map between the views there is none.
        if self.background and (self.needs_map or views.transforms is not None):
            pairs = [self._background(views, i) for i in range(len(views))]
            image_of = _image_of_each([len(pair[0]) for pair in pairs]).to(device)
            free = [torch.cat(view) for view in zip(*pairs, strict=True)][: len(boxes)]
            parts.append(_Boxes(free, torch.full_like(image_of, -1), image_of, is_anchor=False))
        return _samples(parts, len(labels))

    def crop(self, feature: Tensor, rois: Tensor, input_size: tuple[int, int]) -> Tensor:
        """Pool the boxes with RoIAlign.

        Args:
            feature (Tensor): A tap's features of one view (N, C, h, w).
            rois (Tensor): (M, 5) as (image, x1, y1, x2, y2) or (M, 6) as (image, cx, cy, w, h, angle), in pixels of the
                view's input, angles in radians.
            input_size (tuple[int, int]): (H, W) of the view's input, in pixels.

        Returns:
            Tensor: (M, C, roi_size, roi_size), float32 even under autocast, float64 if ``feature`` is.
        """
        # The stride of a tap may be fractional and may differ between height and width.
        stride_h, stride_w = input_size[0] / feature.shape[2], input_size[1] / feature.shape[3]
        scale = 1.0 / stride_w
        if stride_w != stride_h:
            boxes = scale_boxes(rois[:, 1:], rois.new_tensor([1 / stride_w, 1 / stride_h]))
            rois, scale = torch.cat([rois[:, :1], boxes], 1), 1.0
        dtype = torch.float64 if feature.dtype == torch.float64 else torch.float32
        # mmcv's operators read memory as if it were contiguous. Maps of transformers, and channels_last, are not.
        feature, rois = feature.to(dtype).contiguous(), rois.to(dtype).contiguous()
        # Imported here: classification works without mmcv's compiled operators.
        from mmcv.ops import roi_align, roi_align_rotated

        # sampling_ratio 2: the adaptive 0 reads up to a whole map for a large box on a fine tap.
        if rois.shape[1] == 6:
            return roi_align_rotated(feature, rois, self.roi_size, scale, 2, True, True)
        return roi_align(feature, rois, self.roi_size, scale, 2, 'avg', True)

    def choose(self, *boxes: Tensor) -> Tensor:
        """Choose the annotated boxes that are contrasted. Override it to choose others.

        Args:
            *boxes (Tensor): The boxes of all images (M, 4) as (x1, y1, x2, y2), or (M, 5) as (cx, cy, w, h, angle), in
                pixels of the input: those of view 1 and, if there is a second view, those of view 2.

        Returns:
            Tensor: Indices of the chosen boxes (k,), int64, ascending; here those that have an area in each view.
        """
        return have_area(torch.cat(boxes)).view(len(boxes), -1).all(0).nonzero().flatten()

    def _subset(self, keep: Tensor, image: Tensor) -> Tensor:
        """At most ``max_per_image`` of the chosen indices (k,) per image; ``image`` (M,) is the image of each box."""
        keep, parts = keep[image[keep].argsort(stable=True)], []
        for rows in keep.split(torch.bincount(image[keep], minlength=1).tolist()):
            chosen = rows
            if len(rows) > self.max_per_image:
                chosen = rows[torch.randperm(len(rows), device=rows.device)[: self.max_per_image].sort().values]
            parts.append(chosen)
        return torch.cat(parts)

    def _jittered(self, boxes: Sequence[Tensor], labels: Tensor, image: Tensor) -> '_Boxes':
        """Jitter each box of each view: move and scale it a little."""
        moved = []
        for view in boxes:
            move, scale = (torch.rand(2, len(view), 2, device=view.device, dtype=view.dtype) * 2 - 1) * self.jitter
            moved.append(move_boxes(view, move, 1 + scale))
        weights = None
        if self.jitter_weighted:
            weights = torch.stack([paired_iou(a, b) for a, b in zip(boxes, moved, strict=True)]).mean(0)
        return _Boxes(moved, labels, image, weights=weights)

    def _near(self, boxes: Sequence[Tensor], image: Tensor, views: ViewPair) -> '_Boxes':
        """Boxes that overlap their object a little and no other object much, in both views."""
        if not len(image):
            return _Boxes(boxes, image, image, is_anchor=False)
        image, (low, high) = image.repeat(self.near), self.near_iou
        moved, good = [], torch.ones_like(image, dtype=torch.bool)
        for view, view_boxes in enumerate(boxes):
            objects = view_boxes.repeat(self.near, 1)
            wanted, share = torch.rand(2, len(objects), device=objects.device, dtype=objects.dtype)
            # Moved by shares (a, b) of its sides, a box has the IoU u with itself where (1 - a)(1 - b) = 2 u / (1 + u).
            common = (low + (high - low) * wanted).mul(2).div(1 + low + (high - low) * wanted)
            shares = 1 - torch.stack([common**share, common ** (1 - share)], 1)
            sizes = views.image_sizes[view].flip(1)[image].to(objects.dtype)
            # Move to the side with more room.
            near = clip_boxes(move_boxes(objects, shares * towards_middle(objects, sizes)), sizes)
            occupied = _with_area(views.occupied if view == 0 and views.occupied is not None else views.boxes[view])
            others = torch.cat(list(occupied))
            image_of_others = _image_of_each([len(i) for i in occupied]).to(image.device)
            highest = iou(near, others).masked_fill(image[:, None] != image_of_others, 0).amax(1)
            good &= (highest <= high) & (paired_iou(near, objects) >= low)
            if is_rotated(near):
                good &= contains_centre(near, sizes.flip(1))
            moved.append(near)
        chosen = good.nonzero().flatten()
        image = image[chosen]
        return _Boxes([view_boxes[chosen] for view_boxes in moved], torch.full_like(image, -1), image, is_anchor=False)

    def _background(self, views: ViewPair, i: int) -> tuple[Tensor, Tensor]:
        """Random upright background boxes (k, 4) of one image, in both views."""
        (occupied,) = _with_area([(views.boxes[0] if views.occupied is None else views.occupied)[i]])
        # Inside the constant borders that a Pad or an Expand adds, in both views.
        (start, size), (start2, size2) = ((a[i, :2].repeat(2), a[i, 2:] - a[i, :2]) for a in views.areas)
        free = self.free_boxes(_shifted(occupied, -start), size.flip(0)) + start
        moved = transform_boxes(free, views.between()[i])
        inside = contains_centre(moved - start2, size2.flip(0))
        free, moved = free[inside], moved[inside]
        if len(free) or views.images[0] is None:
            return free, moved
        # A plain background looks like such a border, so search the full image.
        free = self.free_boxes(occupied, views.image_sizes[0][i])
        moved = transform_boxes(free, views.between()[i])
        inside = contains_centre(moved, views.image_sizes[1][i])
        return free[inside], moved[inside]

    def free_boxes(self, boxes: Tensor, size: Tensor) -> Tensor:
        """Random background boxes in one image. Override it to choose others.

        Args:
            boxes (Tensor): All annotated boxes of the image (m, 4), or rotated (m, 5), in pixels of the image.
            size (Tensor): (h, w) of the image (2,), float32.

        Returns:
            Tensor: At most ``background`` boxes (k, 4) inside the image, which annotated boxes cover by at most
            ``background_iou`` of their area.
        """
        # More than needed, since some will overlap an object.
        count = self.background * 4
        extent = size.flip(0).to(boxes.dtype)
        side = extent.min() * (0.05 + 0.35 * torch.rand(count, 1, device=boxes.device, dtype=boxes.dtype))
        ratio = 2 ** (2 * torch.rand(count, 1, device=boxes.device, dtype=boxes.dtype) - 1)
        wh = torch.minimum(torch.cat([side * ratio.sqrt(), side / ratio.sqrt()], 1), extent)
        corner = torch.rand(count, 2, device=boxes.device, dtype=boxes.dtype) * (extent - wh)
        free = torch.cat([corner, corner + wh], 1)
        if len(boxes):
            free = free[covered_share(free, boxes).amax(1) <= self.background_iou]
        return free[: self.background]


# Subclasses written for the older name call it by that name.
InstanceSampler._choose = InstanceSampler.choose  # type: ignore[attr-defined]


class _Boxes(NamedTuple):
    """Boxes of one purpose: per view (M, 4) or (M, 5), with the label and the image index of each box (M,)."""

    boxes: Sequence[Tensor]
    labels: Tensor
    image: Tensor
    is_anchor: bool = True
    weights: Tensor | None = None


def _samples(parts: Sequence[_Boxes], objects: int) -> Samples:
    """Join parts to samples, ordered by image. A second part of anchors has the ``objects`` of the first again."""
    boxes, labels, image = parts[0].boxes, parts[0].labels, parts[0].image
    is_anchor = torch.ones_like(labels, dtype=torch.bool)
    ids, weights = None, None
    if len(parts) > 1:
        boxes = [join_boxes(view) for view in zip(*(part.boxes for part in parts), strict=True)]
        is_anchor = torch.cat([torch.full_like(part.labels, part.is_anchor, dtype=torch.bool) for part in parts])
        labels, image = torch.cat([part.labels for part in parts]), torch.cat([part.image for part in parts])
        order = image.argsort(stable=True)
        boxes, labels, image, is_anchor = [view[order] for view in boxes], labels[order], image[order], is_anchor[order]
        if parts[1].is_anchor:
            ids = torch.arange(len(labels), device=labels.device)
            ids[objects : 2 * objects] -= objects
            ids = ids[order]
        if any(part.weights is not None for part in parts):
            given = [torch.ones_like(p.boxes[0][:, 0]) if p.weights is None else p.weights for p in parts]
            weights = torch.cat(given)[order]
    column = image[:, None].to(boxes[0].dtype)
    rois = [torch.cat([column, view], 1) for view in boxes]
    return Samples((rois[0], rois[-1]), labels, is_anchor, ids, weights)


def _with_area(boxes: Sequence[Tensor]) -> list[Tensor]:
    """The boxes of each image that have an area: one whose coordinates are not finite would cover everything."""
    return [each[have_area(each)] for each in boxes]


def _shifted(boxes: Tensor, by: Tensor) -> Tensor:
    """Boxes of either kind moved by (x, y, x, y)."""
    return torch.cat([boxes[:, :2] + by[:2], boxes[:, 2:]], 1) if is_rotated(boxes) else boxes + by


def _image_of_each(counts: list[int]) -> Tensor:
    """[2, 0, 1] -> (0, 0, 2), int64, on the CPU, where the counts are."""
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
