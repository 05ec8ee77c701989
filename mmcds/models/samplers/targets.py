"""What the samplers know of a batch, apart from its features."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .areas import image_areas


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

    def __len__(self) -> int:
        return len(self.image_labels)

    @cached_property
    def areas(self) -> tuple[Tensor, Tensor]:
        """Per view, where each image is without padding (N, 4) as (x1, y1, x2, y2), float32.

        Computed once, and only for samplers that look for places.
        """
        first, second = (image_areas(i, s) for i, s in zip(self.images, self.image_sizes, strict=True))
        return first, second

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
    """

    rois: tuple[Tensor, Tensor]
    labels: Tensor
    is_anchor: Tensor

    def __len__(self) -> int:
        return len(self.labels)


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
