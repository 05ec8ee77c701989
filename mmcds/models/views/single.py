"""No second view: only the task's own view is supervised."""

from typing import Any

import torch
from torch import Tensor, nn

from mmcds.registry import MODELS

from ..data_samples import read_targets
from ..parts import View
from ..step_data import ViewPair


@MODELS.register_module()
class SingleView(View):
    """Describes the batch and makes no second view; both views of the pair are the first.

    There is no second pass through the backbone. Positives are other objects or images of the same class, in the
    batch, on other ranks and in the queue, and jittered boxes of the same object (``jitter`` of the
    :class:`~mmcds.models.samplers.InstanceSampler`). It has no arguments.

    Example:
        >>> view = dict(type='SingleView')
    """

    single = True

    @torch.no_grad()
    def forward(self, inputs: Tensor, data_samples: Any, preprocessor: nn.Module) -> tuple[None, ViewPair]:
        """Describe the batch.

        Args:
            inputs (Tensor): The batch as the model gets it (N, 3, H, W).
            data_samples: What the model gets with them, in a known format.
            preprocessor (nn.Module): Not used.

        Returns:
            tuple[None, ViewPair]: No second view, and the geometry of the first, twice.
        """
        size = (inputs.shape[2], inputs.shape[3])
        targets = read_targets(inputs, data_samples)
        pair = ViewPair(
            input_sizes=(size, size),
            image_sizes=(targets.image_sizes, targets.image_sizes),
            image_labels=targets.image_labels,
            boxes=(targets.boxes, targets.boxes),
            labels=targets.labels,
            transforms=torch.eye(3, device=inputs.device).expand(len(inputs), 3, 3),
            occupied=targets.occupied,
            images=(inputs, inputs),
            single=True,
            pixels=targets.pixels,
        )
        return None, pair
