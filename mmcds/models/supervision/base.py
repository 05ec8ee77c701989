"""Base of the training-only module ``neck.cds``: taps, sampler, projectors, weights."""

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcds.utils.bn_statistics import syncs_statistics
from mmcds.utils.errors import check_range
from mmcds.utils.precision import call_in_own_dtype
from mmcds.utils.tree import connected_zero

from ..parts import Projector, Sampler, View, build_part
from ..step_data import Features, Samples, Tap, ViewPair

#: Attribute of the neck that holds the supervision: ``model.neck.cds``.
ATTRIBUTE = 'cds'
#: Module of MMEngine whose functions set initial weights.
INITIALISERS = 'mmengine.model.weight_init'
SAMPLERS = ('InstanceSampler', 'ImageSampler', 'DenseSampler', 'PixelSampler')
PROJECTORS = ('MLPProjector', 'SepConvProjector', 'IdentityProjector')


class Supervision(BaseModule):
    """Base class of the training-only module ``neck.cds``.

    The model never calls it; :class:`~mmcds.models.forward.TwoViewForward` gets the second view and the losses from
    it.

    Args:
        taps (Sequence[Tap]): Where the features come from.
        view (View): Makes the second view, or none.
        sampler (dict): Config of the sampler.
        projector (dict): Config of the projectors, one per tap.
        loss_weight (float | Sequence[float]): Weight lambda of every tap, or one per tap, >= 0.
        leave_out_frozen (bool): Whether to leave out taps with only frozen layers before them, whose losses reach no
            weight of the model. Defaults to False: they are supervised, with one warning.

    Attributes:
        all_taps (list[Tap]): The taps that have a projector.
        taps (list[Tap]): The taps that are supervised in this step.
        weight (float): The schedule's factor on all losses; with 0 there is no second view.
        stop_gradient (bool): Whether to stop the gradient through the second view.
        concat (bool): Whether both views pass the backbone in one batch.
        recompute (bool | None): Whether the backbone's pass of the second view is recomputed in the backward pass
            instead of stored; None: on a CPU only.
        attached (TwoViewForward | None): What calls it; None outside training.
        prefix (str): Prefix of the names of its losses.
    """

    prefix = 'loss_cds'
    stop_gradient = False
    concat = False
    recompute: bool | None = False

    def __init__(
        self,
        taps: Sequence[Tap],
        view: View,
        sampler: dict,
        projector: dict,
        loss_weight: float | Sequence[float],
        leave_out_frozen: bool = False,
    ) -> None:
        super().__init__()
        self.all_taps = list(taps)
        self.taps = list(taps)
        self.weight = 1.0
        self.attached: Any = None
        #: Torch hook on the neck that warns if a training begins and nothing is attached.
        self.reminder: Any = None
        self.leave_out_frozen = leave_out_frozen
        self._reported_frozen: list[str] = []
        self.view = view
        self.sampler: Sampler = build_part('neck.sampler', sampler, SAMPLERS)
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

    def apply(self, fn: Any) -> 'Supervision':
        """As of torch. The initialisers of the stock model do not reach this module: they would draw further numbers,
        so that the stock weights depended on the contrast, and replace the projectors' own initial weights.
        """
        if getattr(fn, '__module__', '') != INITIALISERS:
            super().apply(fn)
        return self

    def init_weights(self) -> None:
        """As of MMEngine, with random numbers of its own."""
        # MMEngine initialises on the device of the model.
        devices = {parameter.device for parameter in self.parameters() if parameter.is_cuda}
        with torch.random.fork_rng(devices=devices):
            super().init_weights()

    @property
    def loss_weights(self) -> list[float]:
        """Weight of each of ``taps``."""
        return [self._weights[tap.key] for tap in self.taps]

    @property
    def uses_neck(self) -> bool:
        """Whether a tap is an output of the neck; the second view then passes the neck, too."""
        return any(tap.source == 'neck' for tap in self.all_taps)

    @property
    def modules_tapped(self) -> list[str]:
        """Names in the model of the tapped modules inside the backbone."""
        return [tap.path for tap in self.all_taps if tap.path]

    def describe(self, inputs: Tensor, data_samples: Any, preprocessor: nn.Module) -> tuple[Tensor | None, ViewPair]:
        """Make the backbone's input for view 2, None if there is one view, and describe both views.

        Args:
            inputs (Tensor): View 1 as the model gets it (N, C, H, W).
            data_samples: What the model gets with them, in a known format.
            preprocessor (nn.Module): The model's data preprocessor.
        """
        made: tuple[Tensor | None, ViewPair] = self.view(inputs, data_samples, preprocessor)
        return made

    def choose_taps(self, features: Features) -> None:
        """Leave out the taps whose losses reach no weight in this step, or warn about them.

        Args:
            features (Features): Feature maps of the step. The loss on a map that needs no gradient reaches no weight.
        """
        if not torch.is_grad_enabled():
            return
        frozen = [tap for tap in self.all_taps if not features.of(tap).requires_grad]
        self.taps = [tap for tap in self.all_taps if not (self.leave_out_frozen and tap in frozen)]
        names = [tap.name for tap in frozen]
        if names != self._reported_frozen:
            self._reported_frozen = names
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
            features (Features): The feature maps of the step.
            views (ViewPair): Geometry and annotations.

        Returns:
            dict[str, Tensor]: ``<prefix>_<tap>``, weighted scalars >= 0.
        """

    def zero_losses(self) -> dict[str, Tensor]:
        """Losses of a step without supervision: 0, but connected to all parameters, since DDP needs them used."""
        taps = self.taps or self.all_taps
        return {f'{self.prefix}_{tap.key}': self._nothing(self._parts(tap)) for tap in taps}

    def with_left_out(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses, one of them also connected to the parameters of left-out taps, since DDP needs them used."""
        left_out = [part for tap in self.all_taps if tap not in self.taps for part in self._parts(tap)]
        if not left_out:
            return losses
        name = next(iter(losses))
        return {**losses, name: losses[name] + self._nothing(left_out)}

    def summary(self, strides: Mapping[str, int]) -> list[str]:
        """Three lines for the log: the taps, what is done with them, and where the losses appear.

        Taps of frozen stages are known after the first step, and are left out.

        Args:
            strides (Mapping[str, int]): Pixels of the input per cell of each tap's map, by the tap's name.
        """
        taps = [f'{tap.name} ({tap.channels} channels, stride {strides[tap.name]})' for tap in self.taps]
        view, sampler, projector = (
            type(part).__name__ for part in (self.view, self.sampler, self.projectors[self.all_taps[0].key])
        )
        seen = ' in one view' if getattr(self.view, 'single', False) else f', {view} makes their second view'
        weights = ', '.join(f'{weight:g}' for weight in dict.fromkeys(self.loss_weights))
        names = ', '.join(f'{self.prefix}_{tap.key}' for tap in self.taps)
        return [
            f'CDS supervises {", ".join(taps)}.',
            f'{sampler} chooses the samples{seen}, {projector} embeds them; weight {weights}.',
            f'The losses are {names}. Inference and exported checkpoints are without them.',
        ]

    def adapt_to_one_class(self) -> None:
        """Adapt to a data set of one class. The base class does nothing."""

    def why_nothing(self) -> str:
        """Message with the likely reason and the remedy if no step has anything to supervise."""
        return (
            f'the sampler {type(self.sampler).__name__} finds no sample, or one alone without negatives; an '
            'InstanceSampler takes annotated boxes with labels (data_samples.gt_instances), models without boxes need '
            "neck.sampler=dict(type='ImageSampler'), those with classes of pixels dict(type='PixelSampler'); for "
            'batches of one image raise batch_size or neck.queue_length'
        )

    def sample(self, views: ViewPair) -> Samples:
        """The samples of a step. Coordinates keep their precision under autocast, which would round products."""
        with torch.autocast(views.image_labels.device.type, enabled=False):
            return self.sampler.sample(views)

    def crops(self, tap: Tap, features: Features, samples: Samples, views: ViewPair) -> tuple[Tensor, Tensor]:
        """Crops of the tap's features in each view, two tensors (M, C, h, w)."""
        first, second = (
            self.sampler.crop(features.of(tap, view), samples.rois[view], views.crop_size(view)) for view in range(2)
        )
        return first, second

    def _parts(self, tap: Tap) -> list[nn.Module]:
        """The modules that the loss of a tap trains."""
        return [self.projectors[tap.key]]

    def _nothing(self, modules: Sequence[nn.Module]) -> Tensor:
        parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        if not parameters:
            # Nothing to connect: a plain 0. One on the CPU can be added to losses on a GPU.
            return torch.zeros((), device=next(iter(self.buffers()), torch.zeros(())).device)
        return connected_zero(*parameters)

    def project(self, tap: Tap, crops: Tensor, feature: Tensor) -> Tensor:
        """Projections (M, D), float32 (or float64), of crops (M, C, h, w) of a feature map (N, C, H, W)."""
        projector: Projector = self.projectors[tap.key]  # type: ignore[assignment]
        if len(crops) == 0 and not syncs_statistics(projector):
            # No instance on this rank: an empty tensor that is connected to the graph, since the gather's backward
            # waits for every rank. SyncBN waits in the forward pass, so there the projector is called.
            empty = crops.new_zeros(0, projector.out_channels) + self._nothing([projector]) + feature[:0].sum()
            return empty if empty.dtype == torch.float64 else empty.float()
        return call_in_own_dtype(projector, crops)
