"""No second view at all, for supervision that wants none."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..samplers.targets import ViewPair
from .describe import image_labels, image_sizes, instances, occupied


class SingleView(nn.Module):
    """Describes the batch without making a second view of it: both views of the pair are the first."""

    @torch.no_grad()
    def forward(self, inputs: Tensor, data_samples: Sequence[Any], preprocessor: nn.Module) -> tuple[None, ViewPair]:
        """Say where things are.

        Args:
            inputs (Tensor): The batch as the model gets it (N, 3, H, W).
            data_samples (Sequence): The N data samples.
            preprocessor (nn.Module): Not used.

        Returns:
            tuple[None, ViewPair]: No second view, and the geometry of the first, twice.
        """
        size = (inputs.shape[2], inputs.shape[3])
        sizes = image_sizes(data_samples, inputs)
        boxes, labels = instances(data_samples, inputs.device)
        pair = ViewPair(
            input_sizes=(size, size),
            image_sizes=(sizes, sizes),
            image_labels=image_labels(data_samples, inputs.device),
            boxes=(boxes, boxes),
            labels=labels,
            transforms=torch.eye(3, device=inputs.device).expand(len(inputs), 3, 3),
            occupied=occupied(data_samples, inputs.device),
        )
        return None, pair
