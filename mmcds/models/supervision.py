"""What every supervision of intermediate stages has in common: taps, sampler, projectors, weights."""

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcds.utils.errors import check_range

from .build import build_part
from .outputs import as_map, connected_zero
from .samplers import Samples, ViewPair
from .statistics import syncs_statistics
from .taps import Tap

SAMPLERS = ('InstanceSampler', 'ImageSampler', 'DenseSampler')
PROJECTORS = ('MLPProjector', 'SepConvProjector', 'IdentityProjector')

#: Per view, the tuples of feature maps (N, C, h, w) of 'backbone' and, if a tap wants it, 'neck'.
Features = tuple[Mapping[str, Any], Mapping[str, Any]]


class Supervision(BaseModule):
    """Base class of the training-only module ``neck.cds``.

    It is never called by the model itself; :class:`~mmcds.models.two_view_forward.TwoViewForward` asks
    it for the second view and for the losses.

    Args:
        taps (Sequence[Tap]): Where the features come from.
        view (nn.Module): What makes the second view, or says that there is none.
        sampler (dict): Config of the sampler.
        projector (dict): Config of the projectors, one per tap.
        loss_weight (float | Sequence[float]): Weight lambda of every tap, or one per tap, >= 0.
        leave_out_frozen (bool): Whether a tap that reaches no weight of the model, since all layers before it are
            frozen, is left out. Defaults to False: it is supervised all the same, with one warning.

    Attributes:
        all_taps (list[Tap]): The taps that have a projector.
        taps (list[Tap]): Those of them that are supervised in this step.
        weight (float): The schedule's factor on all losses; 0 switches the second view off.
        stop_gradient (bool): Whether nothing learns through the second view.
        concat (bool): Whether both views pass the backbone in one batch.
        packs (bool): Whether second views lie side by side on canvases in that batch.
        recompute (bool): Whether the backbone's pass of the second view is computed again in the backward pass,
            instead of kept.
        prefix (str): How the names of its losses begin.
    """

    prefix = 'loss_cds'
    stop_gradient = False
    concat = False
    #: Set by a supervision that can put second views side by side.
    packs: bool = False
    recompute = False

    def __init__(
        self,
        taps: Sequence[Tap],
        view: nn.Module,
        sampler: dict,
        projector: dict,
        loss_weight: float | Sequence[float],
        leave_out_frozen: bool = False,
    ) -> None:
        super().__init__()
        self.all_taps = list(taps)
        self.taps = list(taps)
        self.weight = 1.0
        self.leave_out_frozen = leave_out_frozen
        self._told_frozen: list[str] = []
        self.view = view
        self.sampler = build_part('neck.sampler', sampler, SAMPLERS)
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
        self._weights = {
            tap.key: check_range('neck.loss_weight', weight, 0) for tap, weight in zip(self.taps, weights, strict=True)
        }

    @property
    def loss_weights(self) -> list[float]:
        """Weight of each of ``taps``."""
        return [self._weights[tap.key] for tap in self.taps]

    @property
    def uses_neck(self) -> bool:
        """Whether a tap is behind the neck, which then has to see the second view, too."""
        return any(tap.source == 'neck' for tap in self.all_taps)

    @property
    def modules_tapped(self) -> list[str]:
        """Names in the model of the modules inside the backbone that are tapped."""
        return [tap.path for tap in self.all_taps if tap.path]

    def choose_taps(self, features: Mapping[str, Any]) -> None:
        """Leave out the taps that nothing can learn from in this step, or warn of them.

        Args:
            features (Mapping[str, Any]): The first view's. A map without a gradient reaches no weight.
        """
        if not torch.is_grad_enabled():
            return
        frozen = [tap for tap in self.all_taps if not feature_of(tap, features).requires_grad]
        self.taps = [tap for tap in self.all_taps if not (self.leave_out_frozen and tap in frozen)]
        names = [tap.name for tap in frozen]
        if names != self._told_frozen:
            self._told_frozen = names
            if not self.taps:
                print_log(
                    f'CDS has nothing to teach while all layers before {names} are frozen; let a stage learn '
                    "(model.backbone.frozen_stages), or tap what does, such as neck.taps=['neck.0']",
                    'current',
                    logging.WARNING,
                )
            elif names and self.leave_out_frozen:
                print_log(f'CDS leaves out the taps {names}: all layers before them are frozen', 'current')
            elif names:
                print_log(
                    f'neck.taps={names}: all layers before them are frozen, so their losses teach the model nothing; '
                    'remove them from neck.taps',
                    'current',
                    logging.WARNING,
                )

    @abstractmethod
    def losses(self, features: Features, views: ViewPair) -> dict[str, Tensor]:
        """The losses of a step.

        Args:
            features (tuple[Mapping, Mapping]): Per view, the tuples of feature maps (N, C, h, w) of
                'backbone' and, if a tap wants it, 'neck'.
            views (ViewPair): Geometry and annotations.

        Returns:
            dict[str, Tensor]: ``<prefix>_<tap>``, scalars >= 0 with the weights in them.
        """

    def zero_losses(self) -> dict[str, Tensor]:
        """The losses of a step without supervision: 0, but connected, so that DDP finds every parameter used."""
        taps = self.taps or self.all_taps
        return {f'{self.prefix}_{tap.key}': self._nothing(self._parts(tap)) for tap in taps}

    def with_left_out(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a step, in one of which the parts of taps that are left out are used, for DDP's sake."""
        left_out = [part for tap in self.all_taps if tap not in self.taps for part in self._parts(tap)]
        if not left_out:
            return losses
        name = next(iter(losses))
        return {**losses, name: losses[name] + self._nothing(left_out)}

    def adapt_to_one_class(self) -> None:
        """Make sense of a data set of one class; nothing has to be done here."""

    def why_nothing(self) -> str:
        """The likely reason and the remedy where no step finds anything to supervise."""
        return (
            f'the sampler {type(self.sampler).__name__} finds no sample, or one alone without negatives; an '
            'InstanceSampler takes annotated boxes with labels (data_samples.gt_instances), models without boxes need '
            "neck.sampler=dict(type='ImageSampler'); for batches of one image raise batch_size or neck.queue_length"
        )

    def crops(self, tap: Tap, features: Features, samples: Samples, views: ViewPair) -> tuple[Tensor, Tensor]:
        """What the sampler cuts out of the tap's features in each view, two tensors (M, C, h, w)."""
        first, second = (
            self.sampler.crop(feature_of(tap, features[v]), samples.rois[v], views.crop_size(v)) for v in range(2)
        )
        return first, second

    def _parts(self, tap: Tap) -> list[nn.Module]:
        """What learns with the loss of a tap."""
        return [self.projectors[tap.key]]

    def _nothing(self, modules: Sequence[nn.Module]) -> Tensor:
        parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        if not parameters:
            # On the model's device; modules without parameters leave nothing to connect.
            return torch.zeros((), device=next(iter(self.buffers()), torch.zeros(())).device)
        return connected_zero(*parameters)

    def project(self, tap: Tap, crops: Tensor, feature: Tensor) -> Tensor:
        """Projections (M, D), float32 (or float64), of crops (M, C, h, w) of a feature map (N, C, H, W)."""
        projector: Any = self.projectors[tap.key]
        if crops.dtype in (torch.float16, torch.bfloat16):
            crops = crops.float()
        if len(crops) == 0 and not syncs_statistics(projector):
            # No instance on this rank: nothing to project, but a place in the graph, since the gather's
            # backward waits for every rank. SyncBN waits in the forward, so there the empty batch goes on.
            return crops.new_zeros(0, projector.out_channels) + self._nothing([projector]) + feature[:0].sum().float()
        return projector(crops)


def feature_of(tap: Tap, features: Mapping[str, Any]) -> Tensor:
    """The tap's feature map, checked against what it was said to be.

    Raises:
        ValueError: If there is no such output, or it is no map (N, C, h, w) of the tap's channels.
    """
    outputs = features[tap.source]
    if tap.path:
        if tap.path not in outputs:
            raise ValueError(f'neck.taps={tap.name!r}: the backbone does not call this module; name another one')
        feature = as_map(outputs[tap.path])
    elif tap.index >= len(outputs):
        raise ValueError(
            f'neck.taps={tap.name!r}: the {tap.source} returned {len(outputs)} outputs; '
            f'name one of {[f"{tap.source}.{i}" for i in range(len(outputs))]}'
        )
    else:
        feature = outputs[tap.index]
    shape = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
    if not isinstance(feature, Tensor) or feature.dim() not in (2, 4) or feature.shape[1] != tap.channels:
        raise ValueError(
            f'neck.taps={tap.name!r}: expected a feature map (N, {tap.channels}, h, w), the {tap.source} returned '
            f'{shape}; set channels=dict({tap.source}{"s" if tap.path else ""}=...) of the CDSNeck to what it has'
        )
    return feature if feature.dim() == 4 else feature[:, :, None, None]
