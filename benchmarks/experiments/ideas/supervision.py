"""Other things to compare the instances with."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcds.models.necks import with_supervision
from mmcds.models.samplers import Samples
from mmcds.models.supervision.contrastive import ContrastiveSupervision
from mmcds.models.taps import resolve_taps

from .registry import MODELS


class JoinedLevels(ContrastiveSupervision):
    """The same instance on several levels is a positive: all taps in one contrast, or each with the one before it.

    Args:
        neighbours (bool): Whether to pair each tap with its shallower neighbour instead of joining all.
            Defaults to False.
        **parts: Of :class:`ContrastiveSupervision`.
    """

    def __init__(self, neighbours: bool = False, **parts: Any) -> None:
        super().__init__(**parts)
        self.neighbours = neighbours

    def losses_of(self, embeddings: Mapping[str, Tensor], samples: Samples) -> dict[str, Tensor]:
        """One loss per group of taps, under the name of its last."""
        taps = self.taps
        groups = list(pairwise(taps)) if self.neighbours else [tuple(taps)]
        losses = {}
        for group in groups:
            rows = torch.cat([embeddings[tap.key] for tap in group])
            views = 2 * len(group)
            ids = torch.arange(len(samples), device=rows.device).repeat(views)
            loss = self.loss(rows, samples.labels.repeat(views), ids, samples.is_anchor.repeat(views))
            weight = self.loss_weights[taps.index(group[-1])] * self.weight
            # As much in all as the taps one by one.
            losses[f'{self.prefix}_{group[-1].key}'] = loss * weight * len(taps) / len(groups)
        return losses


class Prototypes(ContrastiveSupervision):
    """Moving averages of the classes' embeddings are further keys, as a queue's are.

    Args:
        num_classes (int): Classes.
        momentum (float): Of the averages. Defaults to 0.95.
        **parts: Of :class:`ContrastiveSupervision`.
    """

    def __init__(self, num_classes: int, momentum: float = 0.95, **parts: Any) -> None:
        super().__init__(**parts)
        self.momentum = momentum
        self.averages = nn.ParameterDict()
        for tap in self.taps:
            width: Any = self.projectors[tap.key].out_channels
            self.averages[tap.key] = nn.Parameter(torch.zeros(num_classes, width), requires_grad=False)

    def tap_losses(self, embeddings: Sequence[Tensor], samples: Samples) -> list[Tensor]:
        """Each tap's loss with its prototypes as keys."""
        return [self._tap_loss(tap, each, samples) for tap, each in zip(self.taps, embeddings, strict=True)]

    def _tap_loss(self, tap: Any, embeddings: Tensor, samples: Samples) -> Tensor:
        ids = torch.arange(len(samples), device=embeddings.device).repeat(2)
        labels = samples.labels.repeat(2)
        averages = self.averages[tap.key]
        known = (averages != 0).any(1).nonzero().flatten()
        keys = (F.normalize(averages[known], dim=1), known)
        loss: Tensor = self.loss(embeddings, labels, ids, samples.is_anchor.repeat(2), keys)
        with torch.no_grad():
            for label in labels.unique().tolist():
                if label >= 0:
                    mean = embeddings[labels == label].mean(0)
                    old = averages[label]
                    new = torch.where((old != 0).any(), torch.lerp(mean, old, self.momentum), mean)
                    averages[label] = new
        return loss


def _build(kind: type[ContrastiveSupervision], neck: dict, taps: Sequence[str], **parts: Any) -> nn.Module:
    return with_supervision(neck, kind(taps=resolve_taps(taps, neck, None), **parts))


@MODELS.register_module(name='JoinedNeck')
def build_joined_neck(neck: dict, taps: Sequence[str], **parts: Any) -> nn.Module:
    """A CDSNeck with :class:`JoinedLevels`."""
    return _build(JoinedLevels, neck, taps, **parts)


@MODELS.register_module(name='PrototypeNeck')
def build_prototype_neck(neck: dict, taps: Sequence[str], **parts: Any) -> nn.Module:
    """A CDSNeck with :class:`Prototypes`."""
    return _build(Prototypes, neck, taps, **parts)
