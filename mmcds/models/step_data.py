"""What passes between the parts of a training step: taps and their features, annotations, geometry, samples."""

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
        index (int): Place in the tuple that the source returns, >= 0; of a module, among the tapped ones.
        channels (int): Its channels.
        steps (int): Outputs of the same source behind it; 0 for the last.
        path (str): Of a module, its name in the model: 'backbone.layer2'. Defaults to ''.
    """

    source: str
    index: int
    channels: int
    steps: int
    path: str = ''

    @property
    def name(self) -> str:
        """As in a config: 'backbone.2' or 'backbone.layer2'."""
        return self.path or f'{self.source}.{self.index}'

    @property
    def key(self) -> str:
        """As in the names of losses and weights: 'backbone2' or 'backbone_layer2'."""
        return self.path.replace('.', '_') or f'{self.source}{self.index}'


@dataclass
class Features:
    """The feature maps of a step.

    Each attribute maps a source to what it returned: 'backbone' and 'neck' to a tuple of maps (N, C, h, w), 'module'
    to a dict of maps by the name of the module.

    Attributes:
        first (dict[str, Any]): Of view 1.
        second (dict[str, Any]): Of view 2; the same maps where there is one view.
        batch (dict[str, Any]): Of both views as the one batch that the backbone saw, view 1 first. Empty where each
            view had a pass of its own.
    """

    first: dict[str, Any] = field(default_factory=dict)
    second: dict[str, Any] = field(default_factory=dict)
    batch: dict[str, Any] = field(default_factory=dict)

    def of(self, tap: Tap, view: int = 0) -> Tensor:
        """The map (N, C, h, w) of a tap in view 0 or 1. See :func:`feature_of` for what it raises."""
        return feature_of(tap, self.second if view else self.first)


def feature_of(tap: Tap, outputs: Mapping[str, Any]) -> Tensor:
    """The tap's feature map, checked against what it was said to be.

    Args:
        tap (Tap): The tap.
        outputs (Mapping[str, Any]): What each source returned; see :class:`Features`.

    Returns:
        Tensor: (N, C, h, w); of a vector (N, C), (N, C, 1, 1).

    Raises:
        ValueError: If there is no such output, or it is no map (N, C, h, w) of the tap's channels.
    """
    found = outputs[tap.source]
    if tap.path:
        if tap.path not in found:
            raise ValueError(f'neck.taps={tap.name!r}: the backbone does not call this module; name another one')
        feature = as_map(found[tap.path])
    elif tap.index >= len(found):
        raise ValueError(
            f'neck.taps={tap.name!r}: the {tap.source} returned {len(found)} outputs; '
            f'name one of {[f"{tap.source}.{i}" for i in range(len(found))]}'
        )
    else:
        feature = found[tap.index]
    shape = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
    if not isinstance(feature, Tensor) or feature.dim() not in (2, 4) or feature.shape[1] != tap.channels:
        raise ValueError(
            f'neck.taps={tap.name!r}: expected a feature map (N, {tap.channels}, h, w), the {tap.source} returned '
            f'{shape}; set channels=dict({tap.source}{"s" if tap.path else ""}=...) of the CDSNeck to what it has'
        )
    return feature if feature.dim() == 4 else feature[:, :, None, None]


@dataclass
class Targets:
    """What is annotated in a batch of N images, whatever package made it.

    Attributes:
        image_sizes (Tensor): (h, w) of each image without its padding (N, 2), float32, in pixels.
        image_labels (Tensor): Class of each image (N,), int64, -1 where there is none.
        boxes (list[Tensor]): Per image, boxes (n_i, 4) as (x1, y1, x2, y2) in pixels of the input, float32.
        labels (list[Tensor]): Per image, the class of each box (n_i,), int64.
        occupied (list[Tensor]): Per image, all annotated boxes (m_i, 4), float32, crowds and other ignored regions
            included: no place for background.
    """

    image_sizes: Tensor
    image_labels: Tensor
    boxes: list[Tensor]
    labels: list[Tensor]
    occupied: list[Tensor]


@dataclass
class ViewPair:
    """The geometry and annotations of the two views of N images, in pixels of each view's input.

    Attributes:
        input_sizes (tuple[tuple[int, int], tuple[int, int]]): (H, W) of the padded input of each view.
        image_sizes (tuple[Tensor, Tensor]): (h, w) of each image without its padding, (N, 2), float32.
        image_labels (Tensor): Class of each image (N,), int64, -1 where there is none.
        boxes (tuple[list[Tensor], list[Tensor]]): Per view and image, boxes (n_i, 4) as (x1, y1, x2, y2),
            float32. Row k of both views is the same instance.
        labels (list[Tensor]): Per image, the class of each box (n_i,), int64.
        transforms (Tensor | None): Homography from a point of view 1 to view 2 (N, 3, 3), float32;
            None where the pipeline did not record it.
        occupied (list[Tensor] | None): Per image, all annotated boxes of view 1 (m_i, 4), float32, also those
            that view 2 does not show and crowds: no place for background. Defaults to None: the first of ``boxes``.
        images (tuple[Tensor | None, Tensor | None]): The input of each view (N, C, H, W), on whose constant borders
            nothing is sampled. Defaults to (None, None): ``image_sizes`` says all about the padding.
        unrecorded (str): Why there are no ``transforms``. Defaults to ''.
        single (bool): Whether there is no second view, and what is said of it is said of the first. Defaults to False.
        packing (Packing | None): How the second views lie on canvases of the first view's size; ``input_sizes``,
            ``boxes`` and the like are those before they were put there. Defaults to None: view 2 is a batch of its own.
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

    def __len__(self) -> int:
        return len(self.image_labels)

    def crop_size(self, view: int) -> tuple[int, int]:
        """(H, W) in pixels of what the backbone saw of a view, which the rois of a crop are measured in."""
        return self.input_sizes[view] if view == 0 or self.packing is None else self.packing.canvas

    @cached_property
    def areas(self) -> tuple[Tensor, Tensor]:
        """Per view, where each image is without padding (N, 4) as (x1, y1, x2, y2), float32.

        Computed once, and only for samplers that look for places.
        """
        first = image_areas(self.images[0], self.image_sizes[0])
        return first, first if self.single else image_areas(self.images[1], self.image_sizes[1])

    def between(self) -> Tensor:
        """``transforms``, where a sampler cannot do without.

        Raises:
            ValueError: If the pipeline of a view did not record them.
        """
        if self.transforms is None:
            raise ValueError(no_map(self.unrecorded or 'their pipelines do not say it', 'neck.sampler'))
        return self.transforms


def image_areas(images: Tensor | None, sizes: Tensor) -> Tensor:
    """The part of each image inside its constant borders.

    A border is made of the rows and columns at the bottom and on the right that equal the last pixel of the image in
    all channels, and of those at the top and on the left that equal its first pixel: what a ``Pad`` or an ``Expand``
    adds, on whichever side a flip puts it. There is nothing to contrast in it, whatever made it. An image without
    anything else keeps its size.

    Args:
        images (Tensor | None): The inputs (N, C, H, W), normalised or not. None: no border is looked for.
        sizes (Tensor): (h, w) of each image in its input (N, 2), float32; beyond is the padding of the batch.

    Returns:
        Tensor: (N, 4) as (x1, y1, x2, y2) in pixels, float32.
    """
    whole = torch.cat([torch.zeros_like(sizes), sizes.flip(1)], 1)
    if images is None:
        return whole
    # On the device throughout: a number read here would wait for all that the step has launched.
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
    found = torch.stack([x1, y1, x2, y2], 1).to(sizes.dtype)
    return torch.where((found[:, 2:] > found[:, :2]).all(1, keepdim=True), found, whole)


def no_map(reason: str, sampler: str) -> str:
    """The message for a sampler that needs the map between two views that left none.

    Args:
        reason (str): Why it does not, with the transforms that leave no map.
        sampler (str): The sampler, as the user wrote it.
    """
    return (
        f'{sampler} needs to know where the two views match, but {reason}; use transforms of mmdet that record it in '
        'homography_matrix (Resize, RandomFlip, RandomCrop, Rotate, ShearX, TranslateX, ...), name your own that do in '
        "TwoViews.trusted, set neck.view=dict(type='PhotometricView'), or take a sampler that needs no map "
        "('ImageSampler', or 'InstanceSampler' without background)"
    )


@dataclass
class Samples:
    """What is contrasted: M places, each seen in both views.

    Attributes:
        rois (tuple[Tensor, Tensor]): Where they are in each view; the sampler that made them knows the form.
        labels (Tensor): (M,), int64, -1 where there is no label.
        is_anchor (Tensor): (M,), bool; False for background, which is a negative only.
        objects (Tensor | None): Number of the object at each place (M,), int64, >= 0. Places with equal numbers are
            positives of each other whatever their label. Defaults to None: each place has an object of its own.
        weights (Tensor | None): Weight of each place as a positive of others (M,), floating, > 0.
            Defaults to None: 1.
        shown (Tensor | None): Place that each row of view 2's rois shows (K,), int64, where view 2 shows some more
            than once. Defaults to None: each once, in order.
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
        """What is known of each embedding, view after view.

        Args:
            views (int): Views that are embedded, 1 or 2.
        """
        objects = torch.arange(len(self), device=self.labels.device) if self.objects is None else self.objects
        known = (self.labels, objects, self.is_anchor, self.weights)
        if self.shown is None or views == 1:
            return Rows(*(None if each is None else each.repeat(views) for each in known))  # type: ignore[arg-type]
        shown = self.shown
        return Rows(*(None if each is None else torch.cat([each, each[shown]]) for each in known))  # type: ignore[arg-type]


class Rows(NamedTuple):
    """What a loss knows of R embeddings, apart from themselves.

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
    """Samples every one of which is an anchor."""
    return Samples(rois, labels, torch.ones_like(labels, dtype=torch.bool))


def join_views(rois: tuple[Tensor, Tensor], count: int) -> Tensor:
    """The places of both views in one batch of 2N, for samplers that set ``indexed_by_image``.

    Args:
        rois (tuple[Tensor, Tensor]): Per view, (M,) or (M, k), themselves or their first column the image.
        count (int): N.

    Returns:
        Tensor: (2 M,) or (2 M, k), view 1 first.
    """
    second = rois[1].clone()
    (second if second.dim() == 1 else second[:, 0]).add_(count)
    return torch.cat([rois[0], second])
