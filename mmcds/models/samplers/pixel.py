"""Contrast of annotated pixels."""

import torch
from torch import Tensor

from mmcds.registry import MODELS
from mmcds.utils.boxes import transform_points
from mmcds.utils.errors import check_count

from ..parts import Sampler
from ..step_data import Samples, ViewPair, all_anchors
from .dense import read_points


@MODELS.register_module()
class PixelSampler(Sampler):
    """Samples pixels of an annotated map of classes, equally many of each class and image. The label is the class.

    It looks at one pixel of every ``stride`` by ``stride`` and draws at random among those of a class. Pixels to be
    ignored, and those that the other view does not show, are left out. With a queue (``queue_length``) the contrast
    reaches across images of many batches, as in Wang et al., ICCV 2021 (arXiv:2101.11939).

    Args:
        per_class (int): Largest number of pixels of each class in each image, >= 1. Defaults to 16.
        stride (int): Distance of the pixels that are looked at, in pixels of the input, >= 1. Defaults to 8, the stride
            of the usual segmentation backbone.
        ignore_index (int): Class that is not annotated. Defaults to 255. ``add_cds`` sets that of the decode head.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> sampler = dict(type='PixelSampler', per_class=32)
    """

    indexed_by_image = True
    in_pixels = True
    needs_map = True

    def __init__(self, per_class: int = 16, stride: int = 8, ignore_index: int = 255) -> None:
        self.per_class = check_count('sampler.per_class', per_class, 1)
        self.stride = check_count('sampler.stride', stride, 1)
        if not isinstance(ignore_index, int) or isinstance(ignore_index, bool):
            raise ValueError(f'sampler.ignore_index={ignore_index!r} is no class; give a whole number, such as 255')
        self.ignore_index = ignore_index

    def sample(self, views: ViewPair) -> Samples:
        """The chosen pixels of all images.

        Returns:
            Samples: ``rois`` are (M, 3) as (image, x, y), the middles of the pixels, in pixels of each view's input.

        Raises:
            ValueError: If the images have no map of classes, or the map between the views is not known.
        """
        if views.pixels is None:
            raise ValueError(
                'neck.sampler: PixelSampler needs the class of each pixel, data_samples.gt_sem_seg of the size of the '
                "input, and there is none; for boxes take dict(type='InstanceSampler'), else dict(type='ImageSampler')"
            )
        between = views.between()
        offset = min(self.stride // 2, *(side - 1 for side in views.pixels.shape[1:]))
        grid = views.pixels[:, offset :: self.stride, offset :: self.stride]
        image, row, column = ((grid != self.ignore_index) & (grid >= 0)).nonzero(as_tuple=True)
        labels = grid[image, row, column]
        points = torch.stack([column, row], 1).to(between.dtype) * self.stride + offset + 0.5
        moved = transform_points(points, between[image])
        inside = ((moved >= 0) & (moved < views.image_sizes[1][image].flip(1))).all(1).nonzero().flatten()
        # More classes than any data set has.
        kept = inside[_some_of_each(image[inside] * 2**32 + labels[inside], self.per_class)]
        index = image[kept, None].to(points.dtype)
        rois = (torch.cat([index, points[kept]], 1), torch.cat([index, moved[kept]], 1))
        return all_anchors(rois, labels[kept])

    def crop(self, feature: Tensor, rois: Tensor, input_size: tuple[int, int]) -> Tensor:
        """Read the features at the pixels, bilinearly: (M, C, 1, 1); see :func:`read_points`."""
        return read_points(feature, rois, input_size)


def _some_of_each(groups: Tensor, count: int) -> Tensor:
    """Indices of at most ``count`` random members of each group, ascending; ``groups`` (n,) are their numbers."""
    shuffled = torch.randperm(len(groups), device=groups.device)
    order = shuffled[groups[shuffled].argsort(stable=True)]
    ordered = groups[order]
    place = torch.arange(len(order), device=groups.device) - torch.searchsorted(ordered, ordered)
    return order[place < count].sort().values
