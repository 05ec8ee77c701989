"""Deep supervision, the control of the contrast: an auxiliary classifier at each tap, one view."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcds.utils.errors import check_count
from mmcds.utils.precision import call_in_own_dtype

from ..step_data import Features, Samples, Tap, ViewPair
from ..views import SingleView
from .base import Supervision


class DeepSupervision(Supervision):
    """Supervises the taps with the cross entropy of auxiliary classifiers (DSN; Lee et al. 2015).

    Samplers and projectors are those of the contrast, so only the loss differs. One linear layer follows each
    projector. In detection it classifies the annotated instances.

    Args:
        taps (Sequence[Tap]): Where the features come from.
        sampler (dict): Config of the sampler.
        projector (dict): Config of the projectors, one per tap.
        num_classes (int): Number of classes of the samples' labels, >= 1.
        loss_weight (float | Sequence[float]): Weight of every tap, or one per tap, >= 0.
        leave_out_frozen (bool): See :class:`Supervision`. Defaults to False.
    """

    prefix = 'loss_dsn'

    def __init__(
        self,
        taps: Sequence[Tap],
        sampler: dict,
        projector: dict,
        num_classes: int,
        loss_weight: float | Sequence[float],
        leave_out_frozen: bool = False,
    ) -> None:
        super().__init__(taps, SingleView(), sampler, projector, loss_weight, leave_out_frozen)
        check_count('neck.num_classes', num_classes, 1)
        self.num_classes = num_classes
        widths: dict[str, Any] = {tap.key: self.projectors[tap.key].out_channels for tap in self.taps}
        self.classifiers = nn.ModuleDict({key: nn.Linear(width, num_classes) for key, width in widths.items()})

    def why_nothing(self) -> str:
        """See :meth:`Supervision.why_nothing`; with one class there is nothing to classify."""
        if self.num_classes == 1:
            return 'neck.num_classes=1 leaves nothing to classify; remove the DSNNeck, or use a CDSNeck'
        return super().why_nothing()

    def losses(self, features: Features, views: ViewPair) -> dict[str, Tensor]:
        """See :meth:`Supervision.losses`; samples without a label add nothing."""
        samples = self.sample(views)
        with torch.autocast(samples.labels.device.type, enabled=False):
            return {
                f'{self.prefix}_{tap.key}': self._tap_loss(tap, features, samples, views) * (weight * self.weight)
                for tap, weight in zip(self.taps, self.loss_weights, strict=True)
            }

    def _parts(self, tap: Tap) -> list[nn.Module]:
        return [self.projectors[tap.key], self.classifiers[tap.key]]

    def _tap_loss(self, tap: Tap, features: Features, samples: Samples, views: ViewPair) -> Tensor:
        feature = features.of(tap)
        crops = self.sampler.crop(feature, samples.rois[0], views.input_sizes[0])
        logits = call_in_own_dtype(self.classifiers[tap.key], self.project(tap, crops, feature))
        labels = samples.labels
        # On the CPU only: on a GPU the check would sync the device.
        if labels.device.type == 'cpu' and bool((labels >= self.num_classes).any()):
            raise ValueError(
                f'neck.num_classes={self.num_classes}, but a sample has the label {int(labels.max())}; '
                'set it to the classes of the data set'
            )
        # Sum over the labelled samples: the mean of none would be NaN.
        total = F.cross_entropy(logits, labels, ignore_index=-1, reduction='sum')
        return total / (labels >= 0).sum().clamp(min=1)
