"""Contrast of whole images, as in the paper."""

import torch
from torch import Tensor

from mmcds.registry import MODELS

from ..parts import Sampler
from ..step_data import Samples, ViewPair, all_anchors


@MODELS.register_module()
class ImageSampler(Sampler):
    """Takes every image as one sample. The label is its class, if it has one.

    In detection an image has no class, so its only positive is its own other view.
    """

    indexed_by_image = True

    def sample(self, views: ViewPair) -> Samples:
        """All N images; ``rois`` are their indices in the batch, (N,)."""
        index = torch.arange(len(views), device=views.image_labels.device)
        return all_anchors((index, index), views.image_labels)

    def crop(self, feature: Tensor, rois: Tensor, input_size: tuple[int, int]) -> Tensor:
        """Return the full map of each image.

        Args:
            feature (Tensor): A tap's features of one view (N, C, h, w).
            rois (Tensor): Indices in the batch (M,).
            input_size (tuple[int, int]): (H, W) of the view's input, in pixels.

        Returns:
            Tensor: (M, C, h, w).
        """
        return feature
