"""A second view that the data loader made."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmcds.registry import MODELS

from ..samplers.targets import ViewPair
from .describe import image_labels, image_sizes, instances, occupied


@MODELS.register_module()
class DataloaderView(nn.Module):
    """Takes the second view off the data samples, where the transform ``mmcds.TwoViews`` put it.

    Use it for geometric augmentation (crop, flip, affine), with boxes that follow.
    """

    @torch.no_grad()
    def forward(self, inputs: Tensor, data_samples: Sequence[Any], preprocessor: nn.Module) -> tuple[Tensor, ViewPair]:
        """Normalise and pad the second view, and say where things are in both.

        Args:
            inputs (Tensor): The first view as the model gets it (N, 3, H, W), normalised and padded.
            data_samples (Sequence): The N data samples, each with ``view2``.
            preprocessor (nn.Module): The model's data preprocessor, which the second view passes, too.

        Returns:
            tuple[Tensor, ViewPair]: The second view (N, 3, H', W'), and the geometry of both.

        Raises:
            ValueError: If a data sample has no second view.
        """
        seconds: list[Any] = [getattr(sample, 'view2', None) for sample in data_samples]
        if any(second is None for second in seconds):
            raise ValueError(
                f'{sum(second is None for second in seconds)} of {len(seconds)} data samples have no second view; '
                "end train_dataloader's pipeline with dict(type='mmcds.TwoViews', ...) or set "
                "neck.view=dict(type='PhotometricView')"
            )
        second = preprocessor({'inputs': [view.inputs for view in seconds], 'data_samples': None})['inputs']
        boxes, labels = instances(data_samples, inputs.device)
        second_boxes, _ = instances(seconds, inputs.device)
        matched = [view.matched.to(inputs.device) for view in seconds]
        views = ViewPair(
            input_sizes=((inputs.shape[2], inputs.shape[3]), (second.shape[2], second.shape[3])),
            image_sizes=(image_sizes(data_samples, inputs), image_sizes(seconds, second)),
            image_labels=image_labels(data_samples, inputs.device),
            boxes=([box[rows] for box, rows in zip(boxes, matched, strict=True)], second_boxes),
            labels=[label[rows] for label, rows in zip(labels, matched, strict=True)],
            transforms=self._transforms(seconds, inputs),
            occupied=occupied(data_samples, inputs.device),
        )
        return second, views

    @staticmethod
    def _transforms(seconds: Sequence[Any], inputs: Tensor) -> Tensor | None:
        maps = [view.metainfo.get('between') for view in seconds]
        if any(each is None for each in maps):
            return None
        return torch.stack([torch.as_tensor(each, dtype=torch.float32) for each in maps]).to(inputs.device)
