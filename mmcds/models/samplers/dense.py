"""Contrast of grid points, without annotations."""

import torch
from torch import Tensor

from mmcds.registry import MODELS
from mmcds.utils.boxes import transform_points
from mmcds.utils.errors import check_count
from mmcds.utils.tree import connected_zero

from ..parts import Sampler
from ..step_data import Samples, ViewPair, all_anchors


@MODELS.register_module()
class DenseSampler(Sampler):
    """Samples the cell centres of a grid over each image, matched between the views by their location.

    Centres that fall outside the other view are left out. Neither the padding of the batch nor constant borders
    are sampled (:func:`~mmcds.models.step_data.image_areas`).

    Args:
        grid_size (int): Cells per side of the grid, >= 1. Defaults to 7.

    Raises:
        ValueError: If ``grid_size`` is below 1.
    """

    indexed_by_image = True
    in_pixels = True
    needs_map = True

    def __init__(self, grid_size: int = 7) -> None:
        self.grid_size = check_count('sampler.grid_size', grid_size, 1)

    def sample(self, views: ViewPair) -> Samples:
        """The grid points of all images that lie in both views, without labels.

        Returns:
            Samples: ``rois`` are (M, 3) as (image, x, y) in pixels of each view's input.

        Raises:
            ValueError: If the map between the views is not known.
        """
        between, (first, second) = views.between(), views.areas
        steps = (torch.arange(self.grid_size, device=first.device) + 0.5) / self.grid_size
        y, x = torch.meshgrid(steps, steps, indexing='ij')
        unit = torch.stack([x.flatten(), y.flatten()], 1)
        points = first[:, None, :2] + unit * (first[:, 2:] - first[:, :2])[:, None]
        moved = transform_points(points, between[:, None])
        inside = ((moved >= second[:, None, :2]) & (moved < second[:, None, 2:])).all(2)
        image = torch.arange(len(views), device=points.device)[:, None].expand_as(inside)[inside]
        column = image[:, None].to(points.dtype)
        rois = (torch.cat([column, points[inside]], 1), torch.cat([column, moved[inside]], 1))
        return all_anchors(rois, image.new_full((len(image),), -1))

    def crop(self, feature: Tensor, rois: Tensor, input_size: tuple[int, int]) -> Tensor:
        """Read the features at the points, bilinearly: (M, C, 1, 1); see :func:`read_points`."""
        return read_points(feature, rois, input_size)


def read_points(feature: Tensor, rois: Tensor, input_size: tuple[int, int]) -> Tensor:
    """Read a feature map at points, bilinearly. Points beyond the middles of the outermost cells read those cells.

    Args:
        feature (Tensor): A tap's features of one view (N, C, h, w).
        rois (Tensor): (M, 3) as (image, x, y) in pixels of the view's input.
        input_size (tuple[int, int]): (H, W) of the view's input, in pixels.

    Returns:
        Tensor: (M, C, 1, 1), float32 even under autocast, float64 if ``feature`` is.
    """
    # Coordinates rounded to bfloat16's eight bits would be off by a cell on a wide map.
    feature = feature if feature.dtype == torch.float64 else feature.float()
    if len(rois) == 0:
        return feature.new_zeros(0, feature.shape[1], 1, 1) + connected_zero(feature)
    size = rois.new_tensor([feature.shape[3], feature.shape[2]])
    extent = rois.new_tensor([input_size[1], input_size[0]])
    place = (rois[:, 1:] / extent * size - 0.5).clamp(min=0).minimum(size - 1)
    low = place.floor()
    high = torch.minimum(low + 1, size - 1)
    share = (place - low).to(feature.dtype)
    # One gather for each corner of a cell; F.grid_sample would need one call for each image, as their counts differ.
    image = rois[:, 0].long()
    (x1, y1), (x2, y2) = low.long().unbind(1), high.long().unbind(1)
    right, down = share[:, :1], share[:, 1:]
    top = feature[image, :, y1, x1] * (1 - right) + feature[image, :, y1, x2] * right
    bottom = feature[image, :, y2, x1] * (1 - right) + feature[image, :, y2, x2] * right
    return (top * (1 - down) + bottom * down)[:, :, None, None]
