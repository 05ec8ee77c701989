"""The contrast at all taps: sampler x projector x loss, and what they learn."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcds.utils.errors import check_count, check_range

from .build import build_part
from .losses import EmbeddingQueue
from .samplers import Samples, ViewPair
from .taps import Tap

VIEWS = ('PhotometricView', 'DataloaderView')
SAMPLERS = ('InstanceSampler', 'ImageSampler', 'DenseSampler')
PROJECTORS = ('MLPProjector', 'SepConvProjector', 'IdentityProjector')
LOSSES = ('ContrastiveLoss',)


class ContrastiveSupervision(BaseModule):
    """What training has and inference has not: the module ``neck.cds``.

    It is never called by the model itself; :class:`~mmcds.models.two_view_forward.TwoViewForward` asks
    it for the second view and for the losses.

    Args:
        taps (Sequence[Tap]): Where the features come from.
        view (dict): Config of the second view.
        sampler (dict): Config of the sampler.
        projector (dict): Config of the projectors, one per tap.
        loss (dict): Config of the loss.
        loss_weight (float | Sequence[float]): Weight lambda of every tap, or one per tap, >= 0.
        queue_length (int): Embeddings of earlier iterations kept per tap, >= 0; 0 keeps none.
        stop_gradient (bool): Whether the second view is only compared with, and neither backbone
            nor projector learns from it.
        concat (bool): Whether both views pass the backbone in one batch, as in the paper: the
            batch statistics are over both.

    Attributes:
        weight (float): The schedule's factor on all losses; 0 switches the second view off.
    """

    def __init__(
        self,
        taps: Sequence[Tap],
        view: dict,
        sampler: dict,
        projector: dict,
        loss: dict,
        loss_weight: float | Sequence[float],
        queue_length: int,
        stop_gradient: bool,
        concat: bool,
    ) -> None:
        super().__init__()
        self.taps = list(taps)
        self.weight = 1.0
        self.stop_gradient = stop_gradient
        self.concat = concat
        self.view = build_part('neck.view', view, VIEWS)
        self.sampler = build_part('neck.sampler', sampler, SAMPLERS)
        self.loss = build_part('neck.loss', loss, LOSSES)
        self.projectors = nn.ModuleDict(
            {
                tap.key: build_part('neck.projector', projector, PROJECTORS, in_channels=tap.channels, steps=tap.steps)
                for tap in self.taps
            }
        )
        weights: list[Any] = [loss_weight] * len(self.taps)
        if isinstance(loss_weight, Sequence) and not isinstance(loss_weight, str):
            weights = list(loss_weight)
        if len(weights) != len(self.taps):
            names = [tap.name for tap in self.taps]
            raise ValueError(f'neck.loss_weight={weights} has {len(weights)} numbers for the {len(names)} taps {names}')
        self.loss_weights = [check_range('neck.loss_weight', weight, 0) for weight in weights]
        if concat and stop_gradient:
            raise ValueError(
                'neck.concat=True passes both views in one batch, which cannot keep the gradient of one; '
                'set stop_gradient=False or concat=False'
            )
        if concat and getattr(self.view, 'scale', 1) != 1:
            raise ValueError(
                f'neck.view.scale={self.view.scale} with concat=True: views of two sizes make no batch; '
                'set concat=False or scale=1.0'
            )
        self.queues = nn.ModuleDict()
        if check_count('neck.queue_length', queue_length, 0):
            for tap in self.taps:
                width: Any = self.projectors[tap.key].out_channels
                self.queues[tap.key] = EmbeddingQueue(queue_length, width)

    @property
    def uses_neck(self) -> bool:
        """Whether a tap is behind the neck, which then has to see the second view, too."""
        return any(tap.source == 'neck' for tap in self.taps)

    def losses(self, features: tuple[Mapping[str, Any], Mapping[str, Any]], views: ViewPair) -> dict[str, Tensor]:
        """The losses of a step.

        Args:
            features (tuple[Mapping, Mapping]): Per view, the tuples of feature maps (N, C, h, w) of
                'backbone' and, if a tap wants it, 'neck'.
            views (ViewPair): Geometry and annotations.

        Returns:
            dict[str, Tensor]: ``loss_cds_<tap>``, scalars >= 0 with the weights in them.
        """
        # The contrast is computed in float32 whatever the autocast.
        with torch.autocast(views.image_labels.device.type, enabled=False):
            samples = self.sampler.sample(views)
            return {
                f'loss_cds_{tap.key}': self._tap_loss(tap, features, samples, views) * (weight * self.weight)
                for tap, weight in zip(self.taps, self.loss_weights, strict=True)
            }

    def zero_losses(self) -> dict[str, Tensor]:
        """The losses of a step without contrast: 0, but connected, so that DDP finds every parameter used."""
        return {f'loss_cds_{tap.key}': self._nothing(tap) for tap in self.taps}

    def _nothing(self, tap: Tap) -> Tensor:
        parameters = [p for p in self.projectors[tap.key].parameters() if p.requires_grad]
        if not parameters:
            # On the model's device; a projector without parameters leaves nothing to connect.
            return torch.zeros((), device=next(iter(self.buffers()), torch.zeros(())).device)
        # Sums of nothing: 0 whatever the values, where 0 * inf would be NaN.
        return torch.stack([p.flatten()[:0].sum() for p in parameters]).sum()

    def _tap_loss(
        self,
        tap: Tap,
        features: tuple[Mapping[str, Any], Mapping[str, Any]],
        samples: Samples,
        views: ViewPair,
    ) -> Tensor:
        maps = [feature_of(tap, features[v]) for v in range(2)]
        crops = [self.sampler.crop(maps[v], samples.rois[v], views.input_sizes[v]) for v in range(2)]
        if self.concat:
            # As the backbone did: the batch statistics of the projector, too, are over both views.
            embeddings = self._embed(tap, torch.cat(crops), maps[0])
        else:
            first = self._embed(tap, crops[0], maps[0])
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.stop_gradient):
                second = self._embed(tap, crops[1], maps[1])
            embeddings = torch.cat([first, second])
        ids = torch.arange(len(samples), device=embeddings.device).repeat(2)
        labels = samples.labels.repeat(2)
        queue: Any = self.queues[tap.key] if tap.key in self.queues else None  # noqa: SIM401, ModuleDict has no get
        loss = self.loss(
            embeddings, labels, ids, samples.is_anchor.repeat(2), queue.get() if queue is not None else None
        )
        if queue is not None:
            # The second view only: the first differs too little from it to be worth a place.
            queue.put(embeddings[len(samples) :], samples.labels)
        return loss

    def _embed(self, tap: Tap, crops: Tensor, feature: Tensor) -> Tensor:
        """Normalised embeddings (M, D), float32 (or float64), of crops (M, C, h, w) of a feature map."""
        projector: Any = self.projectors[tap.key]
        if crops.dtype in (torch.float16, torch.bfloat16):
            crops = crops.float()
        if len(crops) == 0 and not any(isinstance(m, nn.SyncBatchNorm) for m in projector.modules()):
            # No instance on this rank: nothing to project, but a place in the graph, since the gather's
            # backward waits for every rank. SyncBN waits in the forward, so there the empty batch goes on.
            return crops.new_zeros(0, projector.out_channels) + self._nothing(tap) + feature[:0].sum().float()
        return F.normalize(projector(crops), dim=1)


def feature_of(tap: Tap, features: Mapping[str, Any]) -> Tensor:
    """The tap's feature map, checked against what it was said to be.

    Raises:
        ValueError: If there is no such output, or it is no map (N, C, h, w) of the tap's channels.
    """
    outputs = features[tap.source]
    if tap.index >= len(outputs):
        raise ValueError(
            f'neck.taps={tap.name!r}: the {tap.source} returned {len(outputs)} outputs; '
            f'name one of {[f"{tap.source}.{i}" for i in range(len(outputs))]}'
        )
    feature = outputs[tap.index]
    shape = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
    if not isinstance(feature, Tensor) or feature.dim() not in (2, 4) or feature.shape[1] != tap.channels:
        raise ValueError(
            f'neck.taps={tap.name!r}: expected a feature map (N, {tap.channels}, h, w), the {tap.source} returned '
            f'{shape}; set channels=dict({tap.source}=[...]) of the CDSNeck to the channels it has'
        )
    return feature if feature.dim() == 4 else feature[:, :, None, None]
