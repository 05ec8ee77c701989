"""Sends a second view through a model that knows of one."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .necks.cds_neck import find_supervision
from .samplers import ViewPair
from .statistics import keep_statistics


class TwoViewForward:
    """Torch forward hooks on a model with a CDSNeck, acting on ``mode='loss'`` in training only.

    The task sees view 1 alone. View 2 follows in a pass of its own, or in one batch with view 1
    (``concat``), through the backbone and, where a tap wants it, the neck. The losses of the contrast
    join those of the model. Hooks run inside ``module.__call__`` and so under any wrapper.

    Unless ``concat`` is set, the random generators are given back as they were found and the running
    statistics of batch normalisation are those of view 1: the task's own randomness and
    inference stay the stock's.

    Args:
        model (nn.Module): A detector or classifier without a wrapper such as DDP.

    Raises:
        ValueError: If its neck is no CDSNeck or it has no backbone.

    Attributes:
        seed (int | None): Seed of the next step's second view, so that a resumed run repeats it.
            Defaults to None: the global generators go on by themselves.

    Example:
        >>> two_views = TwoViewForward(model).attach()
        >>> losses = model(inputs, data_samples, mode='loss')
        >>> two_views.detach()
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.supervision = find_supervision(model)
        if not isinstance(getattr(model, 'backbone', None), nn.Module):
            raise ValueError(f'{type(model).__name__} has no model.backbone, whose stages CDS would supervise')
        self.backbone: nn.Module = model.backbone  # type: ignore[assignment]
        self.neck: nn.Module = model.neck  # type: ignore[assignment]
        self.seed: int | None = None
        self._signature = inspect.signature(type(model).forward)
        self._handles: list[Any] = []
        self._reset()

    def _reset(self) -> None:
        self._inputs: Any = None
        self._views: ViewPair | None = None
        self._second: Any = None
        self._batch: Any = None
        self._raw_second: Any = None
        self._features: tuple[dict[str, Any], dict[str, Any]] = ({}, {})

    def attach(self) -> 'TwoViewForward':
        """Put the hooks on. Returns self."""
        if not self._handles:
            self._handles = [
                self.model.register_forward_pre_hook(self._before_model, with_kwargs=True),
                self.backbone.register_forward_pre_hook(self._before_backbone),
                self.backbone.register_forward_hook(self._after_backbone),
                self.neck.register_forward_hook(self._after_neck),
                self.model.register_forward_hook(self._after_model, with_kwargs=True),
            ]
        return self

    def detach(self) -> None:
        """Take the hooks off; the model is the stock one again."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._reset()

    def _arguments(self, args: tuple, kwargs: dict) -> tuple[Any, Any] | None:
        """Inputs and data samples of a training step, None for any other call."""
        bound = self._signature.bind(self.model, *args, **kwargs).arguments
        if not self.model.training or bound.get('mode') != 'loss':
            return None
        return bound['inputs'], bound.get('data_samples')

    def _before_model(self, model: nn.Module, args: tuple, kwargs: dict) -> None:
        self._reset()
        arguments = self._arguments(args, kwargs)
        if arguments is None or self.supervision.weight == 0:
            return
        inputs, data_samples = arguments
        if not isinstance(inputs, Tensor) or inputs.dim() != 4 or data_samples is None:
            found = str(tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__)
            found += ' without data samples' if data_samples is None else ''
            raise ValueError(
                f'{type(model).__name__} trains on inputs of the form {found}; CDS needs one batch '
                'of images (N, 3, H, W) with their data samples'
            )
        with self._aside(inputs):
            self._second, self._views = self.supervision.view(inputs, data_samples, model.data_preprocessor)
        self._inputs = inputs

    def _before_backbone(self, backbone: nn.Module, args: tuple) -> tuple | None:
        # Only the call on the batch itself: some detectors call their backbone more than once.
        second: Any = self._second
        if second is None or not args or args[0] is not self._inputs or not self.supervision.concat:
            return None
        # And only the first such call: a second one would give the model 2N images where it gave N.
        if self._batch is not None:
            return None
        self._batch = torch.cat([args[0], second.to(args[0].dtype)])
        return (self._batch, *args[1:])

    def _after_backbone(self, backbone: nn.Module, args: tuple, output: Any) -> Any:
        if self._second is None or not args or self._features[0]:
            return None
        if self.supervision.concat:
            if args[0] is not self._batch:
                return None
            if any(isinstance(each, Tensor) and len(each) != len(args[0]) for each in as_outputs(output)):
                raise ValueError(
                    f'neck.concat=True: {type(backbone).__name__} returns another number of maps than it gets images, '
                    'so the views cannot be told apart; set concat=False'
                )
            halves = [split_outputs(output, part) for part in (0, 1)]
            self._keep('backbone', *halves)
            return halves[0]
        if args[0] is not self._inputs:
            return None
        with self._aside(args[0]), keep_statistics(backbone), self._gradient():
            second = backbone.forward(self._second.to(args[0].dtype), *args[1:])
        self._keep('backbone', output, second)
        return None

    def _after_neck(self, neck: nn.Module, args: tuple, output: Any) -> None:
        if not self._features[0] or 'neck' in self._features[0]:
            return
        if self.supervision.uses_neck:
            with self._aside(self._second), keep_statistics(neck), self._gradient():
                second = neck.forward(self._raw_second, *args[1:])
            self._keep('neck', output, second)

    def _after_model(self, model: nn.Module, args: tuple, kwargs: dict, losses: Any) -> Any:
        if self._arguments(args, kwargs) is None:
            return losses
        if not isinstance(losses, dict):
            raise ValueError(f"{type(model).__name__} in mode='loss' returned {type(losses).__name__}, not a dict")
        if self._views is None:
            return {**losses, **self.supervision.zero_losses()}
        features, views, second = self._features, self._views, self._second
        self._reset()
        missing = [tap.name for tap in self.supervision.taps if tap.source not in features[0]]
        if missing:
            raise ValueError(
                f'neck.taps={missing}: {type(model).__name__} did not pass its inputs through them; '
                'name outputs that its training step uses'
            )
        with self._aside(second):
            added = self.supervision.losses(features, views)
        return {**losses, **added}

    def _keep(self, source: str, first: Any, second: Any) -> None:
        if source == 'backbone':
            self._raw_second = second
        for view, output in zip(self._features, (first, second), strict=True):
            view[source] = as_outputs(output)

    @contextmanager
    def _aside(self, like: Tensor | None) -> Iterator[None]:
        """Draw from generators of our own, so that the task's are left as they are."""
        if like is None or self.seed is None:
            yield
            return
        devices = [like.device] if like.device.type == 'cuda' else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.seed)
            yield

    @contextmanager
    def _gradient(self) -> Iterator[None]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.supervision.stop_gradient):
            yield


def as_outputs(output: Any) -> tuple:
    """What a backbone or neck returned, as a tuple of its feature maps."""
    if isinstance(output, Mapping):
        return tuple(output.values())
    return tuple(output) if isinstance(output, (tuple, list)) else (output,)


def split_outputs(output: Any, part: int) -> Any:
    """The first (0) or second (1) half of the batch in every tensor of nested outputs."""
    if isinstance(output, Tensor):
        return output.chunk(2)[part]
    if isinstance(output, Mapping):
        return type(output)((key, split_outputs(value, part)) for key, value in output.items())  # type: ignore[call-arg]
    if isinstance(output, (tuple, list)):
        return type(output)(split_outputs(value, part) for value in output)
    return output
