"""What the samplers know of a batch, apart from its features."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .areas import image_areas

if TYPE_CHECKING:
    from ..packing import Packing


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
