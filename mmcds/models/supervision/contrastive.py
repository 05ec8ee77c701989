"""Contrastive supervision of the taps: sampler x projector x loss."""

import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from mmcds.utils.errors import check_count, check_flag

from ..data_samples import read_targets
from ..losses import DistillationLoss, EmbeddingQueue
from ..parts import Loss, View, build_part
from ..samplers import DenseSampler, InstanceSampler
from ..step_data import Features, Samples, Tap, ViewPair, feature_of, join_views
from ..views.packing import packing_of
from .base import Supervision

VIEWS = ('PhotometricView', 'DataloaderView', 'SingleView')
LOSSES = ('ContrastiveLoss',)


class ContrastiveSupervision(Supervision):
    """Supervises the taps with a contrastive loss, between two views or within one.

    Args:
        taps (Sequence[Tap]): Where the features come from.
        view (dict): Config of the second view; a ``SingleView`` makes none.
        sampler (dict): Config of the sampler.
        projector (dict): Config of the projectors, one per tap.
        loss (dict): Config of the loss.
        loss_weight (float | Sequence[float]): Weight lambda of every tap, or one per tap, >= 0.
        queue_length (int): Embeddings of earlier iterations kept per tap, >= 0; 0 keeps none.
        stop_gradient (bool): Whether to stop the gradient through the second view, to both backbone
            and projector.
        concat (bool): Whether both views pass the backbone in one batch, as in the paper: the
            batch statistics are over both. Views of at most half the size are packed on canvases of the
            first view's size (:mod:`~mmcds.models.views.packing`). No effect without a second view.
        recompute (bool, optional): Whether the second view's pass through the backbone is recomputed in the
            backward pass instead of stored; None: on a CPU only. No effect without such a pass, or without a gradient
            through it. Defaults to False.
        leave_out_frozen (bool): See :class:`Supervision`. Defaults to False.
        distill (dict, optional): Arguments of :class:`DistillationLoss`, for a teacher that
            :class:`~mmcds.engine.hooks.DistillHook` loads. Defaults to None.
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
        recompute: bool | None = False,
        leave_out_frozen: bool = False,
    ) -> None:
        made: View = build_part('neck.view', view, VIEWS)
        super().__init__(taps, made, sampler, projector, loss_weight, leave_out_frozen)
        self.single = bool(getattr(made, 'single', False))
        self.stop_gradient = check_flag('neck.stop_gradient', stop_gradient)
        # Without a second view there is nothing to put into the batch.
        self.concat = check_flag('neck.concat', concat) and not self.single
        self.recompute = None if recompute is None else check_flag('neck.recompute', recompute)
        self.loss: Loss = build_part('neck.loss', loss, LOSSES)
        if concat and stop_gradient:
            raise ValueError(
                'neck.concat=True passes both views in one batch, which cannot keep the gradient of one; '
                'set stop_gradient=False or concat=False'
            )
        self.packs = self.concat and getattr(self.view, 'scale', 1) != 1
        if getattr(self.sampler, 'jitter_weighted', False) and not _takes_weights(self.loss):
            raise ValueError(
                f'neck.sampler.jitter_weighted=True weighs positives, but forward of {type(self.loss).__name__} has no '
                'argument weights; add it, or set jitter_weighted=False'
            )
        self._check_packing(distill is not None)
        self._check_single(distill is not None)
        widths: dict[str, Any] = {tap.key: self.projectors[tap.key].out_channels for tap in self.taps}
        self.queues = nn.ModuleDict()
        if check_count('neck.queue_length', queue_length, 0):
            for key, width in widths.items():
                self.queues[key] = EmbeddingQueue(queue_length, width)
        self.distill: DistillationLoss | None = None
        if distill is not None:
            if not isinstance(distill, Mapping):
                raise ValueError(
                    f'neck.distill={distill!r} is not a dict; give distill=dict(), with the arguments of the '
                    f'{DistillationLoss.__name__} that differ from its defaults, or None'
                )
            if self.modules_tapped:
                raise ValueError(
                    f'neck.taps={self.modules_tapped} with distill: they are inside the backbone, where the teacher is '
                    "not looked at; name outputs of the backbone (out_indices of all stages, taps=['backbone.0', ...])"
                )
            kind = DistillationLoss.__name__
            self.distill = build_part('neck.distill', {'type': kind, **distill}, (kind,), widths=widths)

    @property
    def views(self) -> int:
        """Number of embedded views, 1 or 2."""
        return 1 if self.single else 2

    def _check_packing(self, distills: bool) -> None:
        if not self.packs:
            return
        scale: Any = self.view.scale
        if distills:
            raise ValueError(
                f'neck.view.scale={scale} with concat=True and distill: the teacher looks at whole second views; set '
                'concat=False or view.scale=1.0'
            )
        if not getattr(self.view, 'can_augment', False) or scale > 0.5:
            raise ValueError(
                f'neck.view.scale={scale} with concat=True: only views of at most half the size are put side by side '
                'into one batch with the first; set concat=False, scale=0.5 or scale=1.0'
            )
        if not getattr(self.sampler, 'in_pixels', False):
            raise ValueError(
                f'neck.view.scale={scale} with concat=True puts second views side by side, which '
                f'{type(self.sampler).__name__} cannot tell apart; set concat=False or view.scale=1.0, or take an '
                'InstanceSampler, a PixelSampler or a DenseSampler'
            )

    def _check_single(self, distills: bool) -> None:
        if not self.single:
            return
        if distills:
            raise ValueError(
                "neck.distill follows the teacher in both views, and neck.view=dict(type='SingleView') has one; take "
                "view=dict(type='PhotometricView', scale=0.5)"
            )
        if self.stop_gradient:
            raise ValueError(
                "neck.stop_gradient=True with view=dict(type='SingleView'): there is no second view to stop a gradient "
                "through; set stop_gradient=False, or take view=dict(type='PhotometricView', scale=0.5)"
            )
        if getattr(self.loss, 'positives', None) == 'instance' and not getattr(self.sampler, 'jitter', 0):
            raise ValueError(
                "neck.loss.positives='instance' with view=dict(type='SingleView'): what is seen once has no positive; "
                "set positives='class', sampler.jitter=0.2, or view=dict(type='PhotometricView', scale=0.5)"
            )
        # Exactly this class: a subclass may give its points labels.
        if type(self.sampler) is DenseSampler:
            raise ValueError(
                "neck.sampler=dict(type='DenseSampler') with view=dict(type='SingleView'): a grid point has no label "
                "and is seen once, so it has no positive; take view=dict(type='PhotometricView', scale=0.5)"
            )

    def why_nothing(self) -> str:
        """See :meth:`Supervision.why_nothing`; in one view a sample needs another of its class."""
        if not self.single:
            return super().why_nothing()
        return (
            f'{super().why_nothing()}. In one view a positive is another sample of the same class in the batch or the '
            "queue: set neck.sampler.jitter=0.2, or take neck.view=dict(type='PhotometricView', scale=0.5)"
        )

    def adapt_to_one_class(self) -> None:
        """Set background boxes as negatives for instances of one class, or warn that there are no negatives."""
        sampler = self.sampler
        if getattr(self.loss, 'positives', None) != 'class' or not isinstance(sampler, InstanceSampler):
            return
        if sampler.background or not sampler.labels_are_classes:
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

    def describe(self, inputs: Tensor, data_samples: Any, preprocessor: nn.Module) -> tuple[Tensor | None, ViewPair]:
        """See :meth:`Supervision.describe`; small second views are packed on canvases."""
        if not self.packs:
            return super().describe(inputs, data_samples, preprocessor)
        size, view = inputs.shape[2:], self.view
        packing = packing_of(size, view.size_of(size), view.scale, len(inputs))
        order, targets = packing.order, read_targets(inputs, data_samples)
        tiles = view.augment(inputs[order], targets.image_sizes[order], preprocessor, packing.tile)
        views = view.describe(inputs, targets, packing.tile)
        views.packing = packing
        return packing.pack(tiles), views

    def losses(self, features: Features, views: ViewPair) -> dict[str, Tensor]:
        """See :meth:`Supervision.losses`."""
        samples = self.sample(views)
        if views.packing is not None:
            samples = views.packing.place(samples)
        return self.losses_of(self.embed(features, samples, views), samples)

    def embed(self, features: Features, samples: Samples, views: ViewPair) -> dict[str, Tensor]:
        """L2-normalised embeddings (R, D) by tap, rows as in ``samples.rows(self.views)``, float32 (or float64)."""
        # The contrast is computed in float32 even under autocast.
        with torch.autocast(views.image_labels.device.type, enabled=False):
            projected = [self._project_tap(tap, features, samples, views) for tap in self.taps]
            if len({rows.shape for rows in projected}) == 1:
                # All taps at once: fewer kernels.
                embedded = F.normalize(torch.stack(projected), dim=2).unbind()
            else:
                embedded = tuple(F.normalize(rows, dim=1) for rows in projected)
        return {tap.key: rows for tap, rows in zip(self.taps, embedded, strict=True)}

    def losses_of(self, embeddings: Mapping[str, Tensor], samples: Samples) -> dict[str, Tensor]:
        """The weighted losses of the taps from their embeddings (:meth:`embed`). Updates the queues."""
        with torch.autocast(samples.labels.device.type, enabled=False):
            losses = self.tap_losses([embeddings[tap.key] for tap in self.taps], samples)
        weights = [weight * self.weight for weight in self.loss_weights]
        if isinstance(losses, Tensor) and len(set(weights)) == 1:
            # One product for all taps: on a GPU each product is a kernel launch.
            losses, weights = losses * weights[0], [1.0] * len(weights)
        return {
            f'{self.prefix}_{tap.key}': loss if weight == 1 else loss * weight
            for tap, loss, weight in zip(self.taps, losses, weights, strict=True)
        }

    def zero_losses(self) -> dict[str, Tensor]:
        """See :meth:`Supervision.zero_losses`; including those of the distillation."""
        zeros = super().zero_losses()
        if self.distill is not None:
            zeros.update({name: self._nothing(parts) for name, parts in self.distill.names().items()})
        return zeros

    def _parts(self, tap: Tap) -> list[nn.Module]:
        adapters = {} if self.distill is None else dict(self.distill.adapters.items())
        return [*super()._parts(tap), *([adapters[tap.key]] if tap.key in adapters else [])]

    def tap_losses(self, embeddings: Sequence[Tensor], samples: Samples) -> Sequence[Tensor] | Tensor:
        """The loss of each tap without its weight. Updates the queues.

        Args:
            embeddings (Sequence[Tensor]): For each of ``taps``, L2-normalised (R, D).
            samples (Samples): The embedded samples; ``samples.rows(self.views)`` describes the R rows.

        Returns:
            Sequence[Tensor] | Tensor: A scalar for each tap, or all of them as (T,).
        """
        labels, ids, is_anchor, weights = samples.rows(self.views)
        weighted = {} if weights is None else {'weights': weights}
        queues: list[Any] = [self.queues[tap.key] for tap in self.taps] if self.queues else []
        queued: list[Any] = [queue.get() for queue in queues]
        losses: Sequence[Tensor] | Tensor
        joins = getattr(self.loss, 'joins_taps', False)
        # The queues' labels differ between taps if a tap was left out for a while.
        if joins and len({rows.shape for rows in embeddings}) == 1 and _all_equal([keys[1] for keys in queued]):
            queue = (torch.stack([keys[0] for keys in queued]), queued[0][1]) if queued else None
            losses = self.loss(torch.stack(list(embeddings)), labels, ids, is_anchor, queue, **weighted)
        else:
            queued = queued or [None] * len(embeddings)
            losses = [
                self.loss(rows, labels, ids, is_anchor, keys, **weighted)
                for rows, keys in zip(embeddings, queued, strict=True)
            ]
        # Queue view 2 only; view 1 is nearly a duplicate.
        start = len(samples) if self.views == 2 else 0
        for queue, rows in zip(queues, embeddings, strict=bool(queues)):
            queue.put(rows[start:], labels[start:])
        return losses

    def _project_tap(self, tap: Tap, features: Features, samples: Samples, views: ViewPair) -> Tensor:
        if self.single:
            feature = features.of(tap)
            crops = self.sampler.crop(feature, samples.rois[0], views.input_sizes[0])
            return self.project(tap, crops, feature)
        if tap.source in features.batch and getattr(self.sampler, 'indexed_by_image', False):
            # Crop from the batch as the backbone returned it: splitting and joining it again costs copies, and more of
            # them in the backward pass.
            feature = feature_of(tap, features.batch)
            crops = self.sampler.crop(feature, join_views(samples.rois, len(views)), views.input_sizes[0])
            return self.project(tap, crops, feature)
        halves, maps = self.crops(tap, features, samples, views), [features.of(tap, view) for view in range(2)]
        learns = torch.is_grad_enabled() and not self.stop_gradient
        if self.concat or (learns and self._go_together(tap, halves, maps[0])):
            # With concat the projector's batch statistics are over both views, as the backbone's are. A row-by-row
            # projector gives the same result in one call, with half the kernels.
            return self.project(tap, torch.cat(halves), maps[0])
        first = self.project(tap, halves[0], maps[0])
        with torch.set_grad_enabled(learns):
            second = self.project(tap, halves[1], maps[1])
        return torch.cat([first, second])

    def _go_together(self, tap: Tap, halves: Sequence[Tensor], feature: Tensor) -> bool:
        """Whether the crops of both views can share one call of the projector."""
        row_by_row = getattr(self.projectors[tap.key], 'row_by_row', False)
        # Joining full maps costs more than it saves, and their sizes may differ. Without any crop, each view has to
        # be connected to the graph by itself.
        same_size = halves[0].shape[1:] == halves[1].shape[1:] and halves[0].shape[2:] != feature.shape[2:]
        return bool(row_by_row and same_size and len(halves[0]))


def _takes_weights(loss: nn.Module) -> bool:
    parameters = inspect.signature(loss.forward).parameters.values()
    return any(p.name == 'weights' or p.kind is p.VAR_KEYWORD for p in parameters)


def _all_equal(tensors: Sequence[Tensor]) -> bool:
    return all(torch.equal(tensors[0], tensor) for tensor in tensors[1:])
