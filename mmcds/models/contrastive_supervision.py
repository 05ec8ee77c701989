"""The contrast at all taps: sampler x projector x loss, and what they learn."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from mmcds.utils.errors import check_count

from .build import build_part
from .losses import ContrastiveLoss, DistillationLoss, EmbeddingQueue
from .samplers import InstanceSampler, Samples, ViewPair
from .samplers.targets import join_views
from .supervision import Features, Supervision, feature_of
from .taps import Tap

VIEWS = ('PhotometricView', 'DataloaderView')
LOSSES = ('ContrastiveLoss',)


class ContrastiveSupervision(Supervision):
    """Supervises the taps by a contrastive loss between two views.

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
        recompute (bool): Whether the second view's pass through the backbone is computed again in the
            backward pass instead of kept. Without such a pass, or where nothing learns through it, nothing changes.
            Defaults to False.
        leave_out_frozen (bool): See :class:`Supervision`. Defaults to False.
        distill (dict, optional): Arguments of :class:`DistillationLoss`, for a teacher that
            :class:`~mmcds.engine.hooks.DistillHook` brings. Defaults to None.
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
        distill: dict | None = None,
        recompute: bool = False,
        leave_out_frozen: bool = False,
    ) -> None:
        made = build_part('neck.view', view, VIEWS)
        super().__init__(taps, made, sampler, projector, loss_weight, leave_out_frozen)
        self.stop_gradient = stop_gradient
        self.concat = concat
        self.recompute = recompute
        self.loss = build_part('neck.loss', loss, LOSSES)
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
        widths: dict[str, Any] = {tap.key: self.projectors[tap.key].out_channels for tap in self.taps}
        self.queues = nn.ModuleDict()
        if check_count('neck.queue_length', queue_length, 0):
            for key, width in widths.items():
                self.queues[key] = EmbeddingQueue(queue_length, width)
        self.distill: DistillationLoss | None = None
        if distill is not None:
            if self.modules_tapped:
                raise ValueError(
                    f'neck.taps={self.modules_tapped} with distill: they are inside the backbone, where the teacher is '
                    "not looked at; name outputs of the backbone (out_indices of all stages, taps=['backbone.0', ...])"
                )
            kind = DistillationLoss.__name__
            self.distill = build_part('neck.distill', {'type': kind, **distill}, (kind,), widths=widths)

    def adapt_to_one_class(self) -> None:
        """Give instances background boxes as negatives where all are of one class, or warn that they have none."""
        sampler = self.sampler
        if getattr(self.loss, 'positives', None) != 'class' or not isinstance(sampler, InstanceSampler):
            return
        if sampler.background:
            return
        sampler.background, sampler.is_automatic = sampler.one_class_background, True
        if sampler.background:
            print_log(
                f'one class: its objects are no negatives of each other, so CDS takes {sampler.background} background '
                'boxes per image as negatives, if the map between the views is known '
                '(neck.sampler.one_class_background)',
                'current',
            )
        else:
            print_log(
                'neck.sampler.one_class_background=0 with one class: the contrast has no negatives, so nothing pushes '
                "embeddings apart; set neck.sampler.background=8, or neck.loss.positives='instance'",
                'current',
                logging.WARNING,
            )

    def losses(self, features: Features, views: ViewPair) -> dict[str, Tensor]:
        """See :meth:`Supervision.losses`."""
        samples = self.sampler.sample(views)
        return self.losses_of(self.embed(features, samples, views), samples)

    def embed(self, features: Features, samples: Samples, views: ViewPair) -> dict[str, Tensor]:
        """L2-normalised embeddings of both views by tap, (2 M, D) with view 1 first, float32 (or float64)."""
        # The contrast is computed in float32 whatever the autocast.
        with torch.autocast(views.image_labels.device.type, enabled=False):
            return {tap.key: self._embed_tap(tap, features, samples, views) for tap in self.taps}

    def losses_of(self, embeddings: Mapping[str, Tensor], samples: Samples) -> dict[str, Tensor]:
        """The weighted losses of the taps, from what :meth:`embed` returned; queues what is queued."""
        with torch.autocast(samples.labels.device.type, enabled=False):
            losses = self._tap_losses([embeddings[tap.key] for tap in self.taps], samples)
        return {
            f'{self.prefix}_{tap.key}': loss * (weight * self.weight)
            for tap, loss, weight in zip(self.taps, losses, self.loss_weights, strict=True)
        }

    def zero_losses(self) -> dict[str, Tensor]:
        """See :meth:`Supervision.zero_losses`; those of the distillation are among them."""
        zeros = super().zero_losses()
        if self.distill is not None:
            zeros.update({name: self._nothing(parts) for name, parts in self.distill.names().items()})
        return zeros

    def _parts(self, tap: Tap) -> list[nn.Module]:
        adapters = {} if self.distill is None else dict(self.distill.adapters.items())
        return [*super()._parts(tap), *([adapters[tap.key]] if tap.key in adapters else [])]

    def _tap_losses(self, embeddings: Sequence[Tensor], samples: Samples) -> list[Tensor]:
        labels, is_anchor = samples.labels.repeat(2), samples.is_anchor.repeat(2)
        ids = torch.arange(len(samples), device=labels.device).repeat(2)
        queues: list[Any] = [self.queues[tap.key] for tap in self.taps] if self.queues else [None] * len(self.taps)
        queued = [None if queue is None else queue.get() for queue in queues]
        losses = []
        # A loss of a user's own, also one that inherits from ours, may not know of what taps have in common.
        kind = type(self.loss)
        known = isinstance(self.loss, ContrastiveLoss) and all(
            getattr(kind, name) is getattr(ContrastiveLoss, name) for name in ('forward', 'compared', 'share')
        )
        shared = (self.loss.share(embeddings, labels, ids, is_anchor),) if known else ()
        for number, (each, queue) in enumerate(zip(embeddings, queued, strict=True)):
            more = (*shared, number) if known else ()
            losses.append(self.loss(each, labels, ids, is_anchor, queue, *more))
        for queue, each in zip(queues, embeddings, strict=True):
            if queue is not None:
                # Queue view 2 only; view 1 is nearly a duplicate.
                queue.put(each[len(samples) :], samples.labels)
        return losses

    def _embed_tap(self, tap: Tap, features: Features, samples: Samples, views: ViewPair) -> Tensor:
        both = features[0].get('both', {})
        if tap.source in both and getattr(self.sampler, 'indexed_by_image', False):
            # Cut out of the batch as the backbone returned it: to split and join it again costs copies, and in the
            # backward pass more of them.
            whole = feature_of(tap, both)
            crops = self.sampler.crop(whole, join_views(samples.rois, len(views)), views.input_sizes[0])
            return F.normalize(self.project(tap, crops, whole), dim=1)
        halves, maps = self.crops(tap, features, samples, views), [feature_of(tap, each) for each in features]
        learns = torch.is_grad_enabled() and not self.stop_gradient
        if self.concat or (learns and self._go_together(tap, halves, maps[0])):
            # As the backbone did: the batch statistics of the projector, too, are over both views. A projector
            # without such statistics gives the same for both views at once, with half the kernels.
            return F.normalize(self.project(tap, torch.cat(halves), maps[0]), dim=1)
        first = self.project(tap, halves[0], maps[0])
        with torch.set_grad_enabled(learns):
            second = self.project(tap, halves[1], maps[1])
        return F.normalize(torch.cat([first, second]), dim=1)

    def _go_together(self, tap: Tap, halves: Sequence[Tensor], feature: Tensor) -> bool:
        """Whether one pass through the projector does for the crops of both views."""
        # Of the class itself: who inherits from a projector may add what looks at other rows.
        alone = vars(type(self.projectors[tap.key])).get('row_by_row', False)
        # Whole maps cost more to join than they save, and may differ in size. No crop at all is for both views to
        # connect, one by one.
        crops = halves[0].shape[1:] == halves[1].shape[1:] and halves[0].shape[2:] != feature.shape[2:]
        return bool(alone and crops and len(halves[0]))
