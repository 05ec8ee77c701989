"""Data that the parts of a training step exchange: taps and features, annotations, geometry, samples."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from mmcds.utils.tree import as_map

if TYPE_CHECKING:
    from .views.packing import Packing


@dataclass(frozen=True)
class Tap:
    """One output of the backbone or of the neck, or of a module inside the backbone.

    Attributes:
        source (str): 'backbone', 'neck' or 'module'.
        index (int): Index in the tuple that the source returns, >= 0; for a module, its index among the tapped ones.
        channels (int): Number of channels.
        steps (int): Number of later outputs of the same source; 0 for the last.
        path (str): For a module, its name in the model: 'backbone.layer2'. Defaults to ''.
    """

    source: str
    index: int
    channels: int
    steps: int
    path: str = ''

    @property
    def name(self) -> str:
        """Name in a config: 'backbone.2' or 'backbone.layer2'."""
        return self.path or f'{self.source}.{self.index}'

    @property
    def key(self) -> str:
        """Name in losses and weights: 'backbone2' or 'backbone_layer2'."""
        return self.path.replace('.', '_') or f'{self.source}{self.index}'


@dataclass
class Features:
    """The feature maps of a step.

    Each attribute maps a source to its outputs: 'backbone' and 'neck' to a tuple of maps (N, C, h, w), 'module' to a
    dict of maps by the name of the module.

    Attributes:
        first (dict[str, Any]): Of view 1.
        second (dict[str, Any]): Of view 2; the same maps if there is one view.
        batch (dict[str, Any]): Of both views, if they passed the backbone as one batch, view 1 first. Empty if each
            view had its own pass.
    """

    first: dict[str, Any] = field(default_factory=dict)
    second: dict[str, Any] = field(default_factory=dict)
    batch: dict[str, Any] = field(default_factory=dict)

    def of(self, tap: Tap, view: int = 0) -> Tensor:
        """The map (N, C, h, w) of a tap in view 0 or 1. See :func:`feature_of` for what it raises."""
        return feature_of(tap, self.second if view else self.first)


def feature_of(tap: Tap, outputs: Mapping[str, Any]) -> Tensor:
    """Return a tap's feature map, after checking its shape.

    Args:
        tap (Tap): The tap.
        outputs (Mapping[str, Any]): Outputs of each source; see :class:`Features`.

    Returns:
        Tensor: (N, C, h, w); a vector (N, C) becomes (N, C, 1, 1).

    Raises:
        ValueError: If there is no such output, or it is not a map (N, C, h, w) with the tap's channels.
    """
    returned = outputs[tap.source]
    if tap.path:
        if tap.path not in returned:
            raise ValueError(f'neck.taps={tap.name!r}: the backbone does not call this module; name another one')
        feature = as_map(returned[tap.path])
    elif tap.index >= len(returned):
        raise ValueError(
            f'neck.taps={tap.name!r}: the {tap.source} returned {len(returned)} outputs; '
            f'name one of {[f"{tap.source}.{i}" for i in range(len(returned))]}'
        )
    else:
        feature = as_map(returned[tap.index])
    shape = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
    if not isinstance(feature, Tensor) or feature.dim() not in (2, 4) or feature.shape[1] != tap.channels:
        raise ValueError(
            f'neck.taps={tap.name!r}: expected a feature map (N, {tap.channels}, h, w), the {tap.source} returned '
            f'{shape}; set channels=dict({tap.source}{"s" if tap.path else ""}=...) of the CDSNeck to what it has'
        )
    return feature if feature.dim() == 4 else feature[:, :, None, None]


@dataclass
class Targets:
    """Annotations of a batch of N images, independent of the package that made them.

    Attributes:
        image_sizes (Tensor): (h, w) of each image without its padding (N, 2), float32, in pixels.
        image_labels (Tensor): Class of each image (N,), int64, -1 where there is none.
        boxes (list[Tensor]): Per image, boxes (n_i, 4) as (x1, y1, x2, y2), or rotated ones (n_i, 5) as
            (cx, cy, w, h, angle), in pixels of the input and radians (:mod:`~mmcds.utils.boxes`), float32. All images
            have the same kind.
        labels (list[Tensor]): Per image, the class of each box (n_i,), int64.
        occupied (list[Tensor]): Per image, all annotated boxes (m_i, 4) or (m_i, 5), float32, including crowds and
            other ignored regions. Background is not sampled there.
        pixels (Tensor | None): Class of each pixel of the inputs (N, H, W), int64. Defaults to None: not annotated.
    """

    image_sizes: Tensor
    image_labels: Tensor
    boxes: list[Tensor]
    labels: list[Tensor]
    occupied: list[Tensor]
    pixels: Tensor | None = None

    @classmethod
    def empty(cls, inputs: Tensor, **given: Any) -> 'Targets':
        """Targets of images (N, C, H, W) without padding, with the annotations that are ``given``.

        ``occupied`` are the given boxes, unless it is given itself.
        """
        count, device = len(inputs), inputs.device
        boxes = given.get('boxes', [torch.zeros(0, 4, device=device)] * count)
        fields = dict(
            image_sizes=torch.tensor([list(inputs.shape[2:])] * count, dtype=torch.float32, device=device),
            image_labels=torch.full((count,), -1, dtype=torch.long, device=device),
            boxes=boxes,
            labels=[torch.zeros(0, dtype=torch.long, device=device)] * count,
            occupied=boxes,
        )
        return cls(**{**fields, **given})


@dataclass
class ViewPair:
    """The geometry and annotations of the two views of N images, in pixels of each view's input.

    Attributes:
        input_sizes (tuple[tuple[int, int], tuple[int, int]]): (H, W) of the padded input of each view.
        image_sizes (tuple[Tensor, Tensor]): (h, w) of each image without its padding, (N, 2), float32.
        image_labels (Tensor): Class of each image (N,), int64, -1 where there is none.
        boxes (tuple[list[Tensor], list[Tensor]]): Per view and image, boxes (n_i, 4) as (x1, y1, x2, y2), or rotated
            ones (n_i, 5) as (cx, cy, w, h, angle), float32. Row k of both views is the same instance.
        labels (list[Tensor]): Per image, the class of each box (n_i,), int64.
        transforms (Tensor | None): Homography from a point of view 1 to view 2 (N, 3, 3), float32;
            None if the pipeline did not record it.
        occupied (list[Tensor] | None): Per image, all annotated boxes of view 1 (m_i, 4) or (m_i, 5), float32,
            including crowds and those that view 2 does not show. Background is not sampled there. Defaults to None:
            ``boxes[0]``.
        images (tuple[Tensor | None, Tensor | None]): The input of each view (N, C, H, W). Nothing is sampled in its
            constant borders. Defaults to (None, None): all padding is outside of ``image_sizes``.
        unrecorded (str): Why there are no ``transforms``. Defaults to ''.
        single (bool): Whether there is no second view; the fields of view 2 then repeat view 1. Defaults to False.
        packing (Packing | None): Layout of the second views on canvases of the first view's size. ``input_sizes``,
            ``boxes`` and the other fields are those before packing. Defaults to None: view 2 is a batch of its own.
        pixels (Tensor | None): Class of each pixel of view 1's input (N, H, W), int64. Defaults to None: not annotated.
    """

    input_sizes: tuple[tuple[int, int], tuple[int, int]]
    image_sizes: tuple[Tensor, Tensor]
    image_labels: Tensor
    boxes: tuple[list[Tensor], list[Tensor]]
    labels: list[Tensor]
    transforms: Tensor | None
    occupied: list[Tensor] | None = None
    images: tuple[Tensor | None, Tensor | None] = (None, None)
    unrecorded: str = ''
    single: bool = False
    packing: 'Packing | None' = None
    pixels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.image_labels)

    def crop_size(self, view: int) -> tuple[int, int]:
        """(H, W) in pixels of the backbone's input for a view; the RoIs are relative to it."""
        return self.input_sizes[view] if view == 0 or self.packing is None else self.packing.canvas

    @cached_property
    def areas(self) -> tuple[Tensor, Tensor]:
        """Per view, the part of each image inside its padding and constant borders (N, 4) as (x1, y1, x2, y2), float32.

        Computed on first use, since only some samplers need it.
        """
        first = image_areas(self.images[0], self.image_sizes[0])
        return first, first if self.single else image_areas(self.images[1], self.image_sizes[1])

    def between(self) -> Tensor:
        """Return ``transforms``, for samplers that need the map between the views.

        Raises:
            ValueError: If the pipeline of a view did not record them.
        """
        if self.transforms is None:
            raise ValueError(no_map(self.unrecorded or 'their pipelines do not say it', 'neck.sampler'))
        return self.transforms


def image_areas(images: Tensor | None, sizes: Tensor) -> Tensor:
    """The part of each image inside its constant borders.

    A border is made of the rows and columns at the bottom and on the right that equal the last pixel of the image in
    all channels, and of those at the top and on the left that equal its first pixel. A ``Pad`` or an ``Expand`` adds
    such a border, and a flip may move it to the other side. There is nothing to contrast in it. An image that is all
    border keeps its size.

    Args:
        images (Tensor | None): The inputs (N, C, H, W), normalised or not. None: borders are not searched.
        sizes (Tensor): (h, w) of each image in its input (N, 2), float32; the rest is the padding of the batch.

    Returns:
        Tensor: (N, 4) as (x1, y1, x2, y2) in pixels, float32.
    """
    full = torch.cat([torch.zeros_like(sizes), sizes.flip(1)], 1)
    if images is None:
        return full
    # Tensor operations only: reading a number would sync the device.
    rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
    h, w = sizes.long().clamp(min=1).unbind(1)
    inside = (rows < h[:, None])[:, :, None] & (columns < w[:, None])[:, None]
    index = torch.arange(len(images), device=images.device)
    first, last = images[:, :, 0, 0], images[index, :, h - 1, w - 1]
    after, before = ((images != corner[:, :, None, None]).any(1) & inside for corner in (first, last))
    x1 = torch.where(after.any(1), columns, images.shape[3]).amin(1)
    y1 = torch.where(after.any(2), rows, images.shape[2]).amin(1)
    x2 = ((columns + 1) * before.any(1)).amax(1)
    y2 = ((rows + 1) * before.any(2)).amax(1)
    areas = torch.stack([x1, y1, x2, y2], 1).to(sizes.dtype)
    return torch.where((areas[:, 2:] > areas[:, :2]).all(1, keepdim=True), areas, full)


def no_map(reason: str, sampler: str) -> str:
    """Error message for a sampler that needs the map between the views if none was recorded.

    Args:
        reason (str): Why there is no map, with the transforms that record none.
        sampler (str): The sampler, as the user wrote it.
    """
    return (
        f'{sampler} needs to know where the two views match, but {reason}; use transforms of mmdet that record it in '
        'homography_matrix (Resize, RandomFlip, RandomCrop, Rotate, ShearX, TranslateX, ...), name your own that do in '
        "TwoViews.trusted, set neck.view=dict(type='PhotometricView', scale=0.5), or take a sampler that needs no map "
        "('ImageSampler', or 'InstanceSampler' without background)"
    )


@dataclass
class Samples:
    """The M samples of a step, each located in both views.

    Attributes:
        rois (tuple[Tensor, Tensor]): Location of each sample in each view; each sampler has its own format.
        labels (Tensor): (M,), int64, -1 where there is no label.
        is_anchor (Tensor): (M,), bool; False for background, which is a negative only.
        objects (Tensor | None): Object id of each sample (M,), int64, >= 0. Samples with equal ids are positives of
            each other whatever their labels. Defaults to None: each sample has its own id.
        weights (Tensor | None): Weight of each sample as a positive of others (M,), floating, > 0.
            Defaults to None: 1.
        shown (Tensor | None): Index of the sample in each row of view 2's RoIs (K,), int64, if view 2 shows some
            samples more than once. Defaults to None: each once, in order.
    """

    rois: tuple[Tensor, Tensor]
    labels: Tensor
    is_anchor: Tensor
    objects: Tensor | None = None
    weights: Tensor | None = None
    shown: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, views: int) -> 'Rows':
        """Labels, ids, anchor flags and weights of the embeddings, view 1 first.

        Args:
            views (int): Number of embedded views, 1 or 2.
        """
        objects = torch.arange(len(self), device=self.labels.device) if self.objects is None else self.objects
        columns = (self.labels, objects, self.is_anchor, self.weights)
        if self.shown is None or views == 1:
            return Rows(*(None if column is None else column.repeat(views) for column in columns))  # type: ignore[arg-type]
        shown = self.shown
        joined = (None if column is None else torch.cat([column, column[shown]]) for column in columns)
        return Rows(*joined)  # type: ignore[arg-type]


class Rows(NamedTuple):
    """Labels, ids, anchor flags and weights of R embeddings, for a loss.

    Attributes:
        labels (Tensor): (R,), int64, -1 where there is no label.
        ids (Tensor): (R,), int64, >= 0; equal for embeddings of one object.
        is_anchor (Tensor): (R,), bool; the others are negatives only.
        weights (Tensor | None): Weight as a positive of others (R,); None is 1.
    """

    labels: Tensor
    ids: Tensor
    is_anchor: Tensor
    weights: Tensor | None


def all_anchors(rois: tuple[Tensor, Tensor], labels: Tensor) -> Samples:
    """Make samples that are all anchors."""
    return Samples(rois, labels, torch.ones_like(labels, dtype=torch.bool))


def join_views(rois: tuple[Tensor, Tensor], count: int) -> Tensor:
    """The RoIs of both views in one batch of 2N images, for samplers that set ``indexed_by_image``.

    Args:
        rois (tuple[Tensor, Tensor]): Per view, (M,) image indices, or (M, k) with them in the first column.
        count (int): N.

    Returns:
        Tensor: (2 M,) or (2 M, k), view 1 first.
    """
    second = rois[1].clone()
    (second if second.dim() == 1 else second[:, 0]).add_(count)
    return torch.cat([rois[0], second])
