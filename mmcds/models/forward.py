"""A training step with the contrast: torch forward hooks on a model with a CDSNeck."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmcds.utils.bn_statistics import (
    has_reentrant_checkpoint,
    keep_statistics,
    recomputes,
    refuse_unknown_recomputing,
    syncs_statistics,
)
from mmcds.utils.errors import unknown_name
from mmcds.utils.tree import as_map, as_outputs, connected_zero, map_outputs, select_outputs, split_outputs

from .data_samples import check_batch
from .data_samples.sample_list import labelled_rows, with_dummy_label
from .necks import ATTRIBUTE, find_supervision, supervised_part
from .step_data import Features, ViewPair
from .supervision.teacher import Teacher, distilled_losses

#: Arguments of a model's forward, in mmengine's order.
ARGUMENTS = ('inputs', 'data_samples', 'mode')
#: The branch of a semi-supervised batch that is annotated, in mmdet.
LABELLED_BRANCH = 'sup'


@dataclass
class StepContext:
    """Seed and meter of a training step.

    Attributes:
        seed (int | None): Seed of the step's random numbers. Defaults to None: torch's global generators are used.
        meter (Callable): Returns a context manager that is entered around all work for the contrast. Defaults to one
            that does nothing.
    """

    seed: int | None = None
    meter: Callable[[], AbstractContextManager[None]] = nullcontext
    #: States of the generators, on the CPU and on the GPU of the inputs; None before the first draw.
    _states: tuple[Tensor, Tensor | None] | None = None

    @contextmanager
    def aside(self, like: Tensor) -> Iterator[None]:
        """Context that draws from the step's own random stream and restores the task's generators after it.

        The second view, the second pass and the sampler continue one stream, so they draw different numbers.

        Args:
            like (Tensor): A tensor on the device whose generator is used besides the CPU's.
        """
        with self.meter():
            if self.seed is None:
                yield
                return
            cuda = like.device if like.device.type == 'cuda' else None
            with torch.random.fork_rng(devices=[] if cuda is None else [cuda]):
                if self._states is None:
                    torch.manual_seed(self.seed)
                else:
                    torch.set_rng_state(self._states[0])
                    if cuda is not None and self._states[1] is not None:
                        torch.cuda.set_rng_state(self._states[1], cuda)
                yield
                self._states = torch.get_rng_state(), None if cuda is None else torch.cuda.get_rng_state(cuda)


@dataclass
class _Step:
    """State of one training step.

    Attributes:
        inputs (Tensor): View 1 as the model gets it (N, C, H, W).
        views (ViewPair | None): Geometry and annotations; None if the contrast is off and the step only removes
            unlabelled images from the task.
        second (Tensor | None): View 2 as the backbone gets it; None if there is one view.
        batch (Tensor | None): Both views as one batch, once the backbone has got it (``concat``).
        raw (tuple): Outputs of the backbone for each view.
        features (Features): The feature maps of the taps.
        inside (dict[str, Any]): Outputs of tapped modules in the current pass, by name.
        rows (Tensor | None): Indices of the labelled images (k,), int64; None if all are labelled.
        neck_again (bool): Whether view 1 passes the neck once more for the contrast.
        other_images (bool): Whether the model gave its backbone something other than the inputs.
        mute (bool): Whether no image is labelled, so that the task's losses are set to 0.
        logits: Output of the head for view 1, for distillation.
    """

    inputs: Tensor
    views: ViewPair | None = None
    second: Tensor | None = None
    batch: Tensor | None = None
    raw: tuple[Any, Any] = (None, None)
    features: Features = field(default_factory=Features)
    inside: dict[str, Any] = field(default_factory=dict)
    rows: Tensor | None = None
    neck_again: bool = False
    other_images: bool = False
    mute: bool = False
    logits: Any = None


class TwoViewForward:
    """Torch forward hooks on a model with a CDSNeck, acting on ``mode='loss'`` in training only.

    This file follows the order of a step: describe the batch and make view 2; the stock pass; view 2's pass; sample,
    project and compare. The task sees view 1 only. View 2 passes the backbone, and the neck if a tap is behind it, in
    a pass of its own or in one batch with view 1 (``concat``). The losses of the contrast are added to those of the
    model. The hooks run inside ``module.__call__``, so they work under any wrapper.

    A model may give its backbone images that it makes of its inputs, as H2RBox does with crops and rotations. Then each
    view has a pass of its own, after the model's.

    Images whose data samples have ``labelled=False`` are used for the contrast only: the backbone sees them, the neck
    and the heads do not.

    Unless ``concat`` is set, the random generators are restored and the running statistics of batch normalisation
    are those of view 1, so the task's randomness and inference are the stock's.

    Args:
        model (nn.Module): A detector, classifier or segmentor without a wrapper such as DDP, or a model that trains a
            detector: a semi-supervised one, whose student is supervised on its annotated images, or a tracker.
        teacher (Teacher, optional): Teacher for distillation; the CDSNeck needs ``distill``. Defaults to None.
        meter (Callable): Returns a context manager that is entered around all work for the contrast. Defaults to one
            that does nothing.
        has_unlabelled (bool): Whether the training set has unlabelled images. All ranks have to know it before they
            get one. Needed if a tap is behind a neck with SyncBN. Defaults to False.
        one_gradient (bool): Whether the model's wrapper takes one gradient of each parameter in a step, as DDP without
            ``static_graph`` does. Then a model that recomputes activations is refused where a second pass gives its
            parameters another. Defaults to False.

    Raises:
        ValueError: If the model's neck is not a CDSNeck or the model has no backbone.

    Attributes:
        steps (int): Number of training steps so far in which losses were added.
        strides (dict[str, int]): Pixels of the input per cell of each tap's map, by the tap's name; empty before the
            first step with a contrast.
        added (dict[str, Tensor]): The losses added in the last step, detached.

    Example:
        >>> two_views = TwoViewForward(model).attach()
        >>> two_views.begin_step(weight=1.0, seed=0)
        >>> losses = model(inputs, data_samples, mode='loss')
        >>> two_views.detach()
    """

    def __init__(
        self,
        model: nn.Module,
        teacher: Teacher | None = None,
        meter: Callable[[], AbstractContextManager[None]] = nullcontext,
        has_unlabelled: bool = False,
        one_gradient: bool = False,
    ) -> None:
        self.model = model
        self.supervision = find_supervision(model)
        part: Any = supervised_part(model)
        if not isinstance(getattr(part, 'backbone', None), nn.Module):
            raise ValueError(f'{type(model).__name__} has no model.backbone, whose stages CDS would supervise')
        #: The model, or the detector that it trains.
        self.part: nn.Module = part
        self.backbone: nn.Module = part.backbone
        self.neck: nn.Module = part.neck
        self.teacher = teacher
        self.meter = meter
        self.has_unlabelled = has_unlabelled
        self.one_gradient = one_gradient
        self.steps = 0
        self.strides: dict[str, int] = {}
        self.added: dict[str, Tensor] = {}
        self.context = StepContext(meter=meter)
        self._step: _Step | None = None
        self._checked_pass = False
        self._positional = _positional_names(model)
        # A forward with other argument names takes them in mmengine's order.
        self._own_names = {
            name: name if name in self._positional or i >= len(self._positional) else self._positional[i]
            for i, name in enumerate(ARGUMENTS)
        }
        self._handles: list[Any] = []

    def begin_step(self, weight: float = 1.0, seed: int | None = None) -> None:
        """Set the weight and the seed of the next step.

        Args:
            weight (float): The schedule's factor on the losses of the contrast, >= 0; with 0 there is no second view.
                Defaults to 1.0.
            seed (int, optional): Seed of the step's random numbers, so that a resumed run repeats them. If the model is
                called twice in the step, the second call continues the stream. Defaults to None: torch's global
                generators are used.
        """
        self.supervision.weight = weight
        self.context = StepContext(seed, self.meter)

    @property
    def seed(self) -> int | None:
        """Seed of the step. Setting it is the older form of :meth:`begin_step` and keeps the weight."""
        return self.context.seed

    @seed.setter
    def seed(self, seed: int | None) -> None:
        self.context = StepContext(seed, self.meter)

    def attach(self) -> 'TwoViewForward':
        """Register the hooks; those that an interrupted training left are removed first. Returns self."""
        if not self._handles:
            # First, since a name that is not known raises.
            modules = [(path, self._module(path)) for path in self.supervision.modules_tapped]
            if self.supervision.attached is not None:
                self.supervision.attached.detach()
            if self.supervision.reminder is not None:
                self.supervision.reminder.remove()
            self.supervision.attached = self
            self._handles = [
                self.model.register_forward_pre_hook(self._before_model, with_kwargs=True),
                self.backbone.register_forward_pre_hook(self._before_backbone),
                self.backbone.register_forward_hook(self._after_backbone),
                self.neck.register_forward_hook(self._after_neck),
                self.model.register_forward_hook(self._after_model, with_kwargs=True),
                self.model.register_forward_hook(self._forget, with_kwargs=True, always_call=True),
            ]
            for path, module in modules:
                self._handles.append(module.register_forward_hook(partial(self._after_module, path)))
            head = getattr(self.part, 'head', None)
            if getattr(self.supervision, 'distill', None) is not None and isinstance(head, nn.Module):
                self._handles.append(head.register_forward_hook(self._after_head))
        return self

    def keep(self, *handles: Any) -> None:
        """Let :meth:`detach` remove these torch hooks, too."""
        self._handles += handles

    def detach(self) -> None:
        """Remove the hooks; the model is the stock one again."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._step = None
        if self.supervision.attached is self:
            self.supervision.attached = None

    def __getstate__(self) -> dict[str, Any]:
        # A step that was interrupted holds tensors of its graph, which cannot be copied.
        return {**self.__dict__, '_step': None}

    # 1. Describe the batch and make view 2.

    def _before_model(self, model: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        arguments = self._arguments(args, kwargs)
        if arguments is None:
            return None
        # Only now: a training step may also call the model in another mode.
        self._step = None
        inputs, data_samples = arguments['inputs'], arguments['data_samples']
        branches = isinstance(inputs, Mapping) and LABELLED_BRANCH in inputs
        if branches:
            # A semi-supervised detector: its student learns from annotations in this branch.
            inputs, data_samples = inputs[LABELLED_BRANCH], data_samples[LABELLED_BRANCH]
        check_batch(type(model).__name__, inputs, data_samples)
        labelled = None if branches else labelled_rows(data_samples)
        if labelled is not None and isinstance(getattr(self.part, 'teacher_model', None), nn.Module):
            raise ValueError(
                f'{type(model).__name__} has a teacher of its own, which looks at all images, while its head would see '
                'the labelled ones only; train without images that are labelled=False'
            )
        contrasts = self.supervision.weight != 0
        if not contrasts and labelled is None:
            return None
        step = self._step = _Step(inputs)
        if contrasts:
            preprocessor: Any = model.data_preprocessor
            # That of all branches of a semi-supervised detector wraps that of one.
            preprocessor = getattr(preprocessor, 'data_preprocessor', preprocessor)
            # Coordinates and colours keep their precision under autocast.
            with self.context.aside(inputs), torch.autocast(inputs.device.type, enabled=False):
                step.second, step.views = self.supervision.describe(inputs, data_samples, preprocessor)
            step.neck_again = self._needs_neck_again(labelled is not None)
        if labelled is None:
            return None
        # The task sees the labelled images only. A batch without any still passes the heads, so that all ranks run the
        # same layers, but its losses are set to 0.
        step.mute = not labelled
        index = torch.tensor(labelled or [0], device=inputs.device)
        changes: dict[str, Any] = {
            'data_samples': [data_samples[i] for i in labelled] or [with_dummy_label(data_samples[0])]
        }
        if contrasts:
            step.rows = index
        else:
            changes['inputs'] = inputs.index_select(0, index)
        return self._changed(args, kwargs, changes)

    def _needs_neck_again(self, unlabelled: bool) -> bool:
        """Whether view 1 passes the neck once more, because the task's pass lacks its unlabelled images."""
        stock = (module for name, module in self.neck.named_children() if name != ATTRIBUTE)
        syncs = self.supervision.uses_neck and get_world_size() > 1 and any(map(syncs_statistics, stock))
        if syncs and unlabelled and not self.has_unlabelled:
            raise ValueError(
                'a data sample says labelled=False, and taps behind a neck with SyncBN would wait for other ranks; '
                'use mmcds.LabelledFraction, give the data set has_unlabelled=True, or tap the backbone only '
                f'(neck.taps={[tap.name for tap in self.supervision.taps if tap.source == "neck"]})'
            )
        # SyncBN waits for all ranks: if one rank may need another pass, all make it.
        return unlabelled or (syncs and self.has_unlabelled)

    # 2. The stock pass through the backbone, with view 2 in the same batch if ``concat``.

    def _before_backbone(self, backbone: nn.Module, args: tuple) -> tuple | None:
        step = self._step
        if step is None or step.views is None:
            return None
        if not args or args[0] is not step.inputs:
            step.other_images = True
            if step.rows is not None and not step.features.first:
                raise ValueError(
                    f'{type(self.model).__name__} gives its backbone other images than its inputs, so those without '
                    'annotations cannot be kept from its heads; train it without LabelledFraction'
                )
            return None
        # Only the first call on the batch itself: some detectors call their backbone more than once, and only the
        # outputs of the first call are split by view.
        if step.batch is not None:
            return None
        if step.second is None or not self.supervision.concat:
            return None
        first, second = (tuple(view.shape[2:]) for view in (args[0], step.second))
        if first != second:
            raise ValueError(
                f'neck.concat=True joins both views in one batch, but view 1 has {first} pixels and view 2 {second}; '
                'set concat=False, or give both views one size (in TwoViews: in both pipelines)'
            )
        step.batch = torch.cat([args[0], step.second.to(args[0].dtype)])
        return (step.batch, *args[1:])

    def _after_module(self, path: str, module: nn.Module, args: tuple, output: Any) -> None:
        # Only until the backbone's own hook has stored the outputs of both views.
        if self._step is not None and self._step.views is not None and 'module' not in self._step.features.second:
            self._step.inside[path] = output

    def _after_backbone(self, backbone: nn.Module, args: tuple, output: Any) -> Any:
        step = self._step
        if step is None or step.views is None or not args or step.features.first:
            return None
        if args[0] is not (step.inputs if step.batch is None else step.batch):
            return None
        if step.batch is None:
            self._second_pass(step, output, *args[1:])
        else:
            self._split_batch(step, output)
        self._store(step)
        # The neck sees the labelled images only.
        return step.raw[0] if step.rows is None else select_outputs(step.raw[0], step.rows)

    def _store(self, step: _Step) -> None:
        for outputs, raw in zip((step.features.first, step.features.second), step.raw, strict=True):
            outputs['backbone'] = as_outputs(raw)

    def _split_batch(self, step: _Step, output: Any) -> None:
        """Split the outputs of one batch of both views by view."""
        count = len(step.inputs)
        batch: Any = step.batch
        if any(isinstance(map_, Tensor) and len(map_) != len(batch) for map_ in as_outputs(output)):
            raise ValueError(
                f'neck.concat=True: {type(self.backbone).__name__} returns another number of maps than it gets images, '
                'so the views cannot be told apart; set concat=False'
            )
        step.raw = (split_outputs(output, 0, count), split_outputs(output, 1, count))
        inside = {path: as_map(map_) for path, map_ in step.inside.items()}
        step.features.batch = {'backbone': as_outputs(output), 'module': inside}
        for view, outputs in enumerate((step.features.first, step.features.second)):
            outputs['module'] = {path: split_outputs(map_, view, count) for path, map_ in inside.items()}

    # 3. View 2's own pass, through the backbone and, if a tap is behind it, the neck.

    def _second_pass(self, step: _Step, output: Any, *args: Any) -> None:
        second, step.features.first['module'] = output, step.inside
        if step.second is not None:
            step.inside = {}
            with self.context.aside(step.inputs), self._gradient(), _too_small(step.second):
                second = self._pass(self.backbone, step.second.to(step.inputs.dtype), *args)
            if not self._checked_pass:
                self._checked_pass = True
                if self.one_gradient and torch.is_grad_enabled() and not self.supervision.stop_gradient:
                    self._refuse_two_reductions(output)
                refuse_unknown_recomputing(self.backbone, second)
        step.raw, step.features.second['module'] = (output, second), step.inside

    def _refuse_two_reductions(self, output: Any) -> None:
        """Raise if DDP would get the gradients of a step twice: from a reentrant checkpoint and from view 2's pass."""
        if has_reentrant_checkpoint(output):
            raise ValueError(
                f'{type(self.backbone).__name__} recomputes activations (with_cp or the like), which DDP does not take '
                "with a second pass of the backbone; take one view: neck.view=dict(type='SingleView'), or both views "
                'in one batch: neck.concat=True, or switch the recomputing off (with_cp=False); '
                "model_wrapper_cfg=dict(type='MMDistributedDataParallel', static_graph=True) also works if every step "
                'has the contrast'
            )

    def _own_passes(self, step: _Step) -> None:
        """Pass view 1 and view 2 through the backbone and the neck, for a model that gave them other images."""
        if self.steps == 0:
            print_log(
                f'{type(self.model).__name__} gives its backbone other images than its inputs: the inputs pass the '
                'backbone once more for the contrast',
                'current',
            )
        step.inside, step.neck_again = {}, True
        with self.context.aside(step.inputs):
            output = self._pass(self.backbone, step.inputs)
        self._second_pass(step, output)
        self._store(step)
        self._pass_neck(step, None)

    def _pass(self, backbone: nn.Module, *args: Any) -> Any:
        """Call the backbone without updating its running statistics."""

        def run(*inputs: Any) -> Any:
            # Inside the checkpointed function, so that it also holds in the backward pass.
            with keep_statistics(backbone):
                return backbone.forward(*inputs)

        recompute = self.supervision.recompute
        if recompute is None:
            # A GPU waits for the kernels of a few images, and recomputing adds to them.
            recompute = args[0].device.type == 'cpu'
        # keep_statistics turns the backbone's own checkpointing off, so checkpoint the full pass instead.
        if torch.is_grad_enabled() and (recompute or recomputes(backbone)):
            return _checkpointed(run, *args)
        return run(*args)

    @contextmanager
    def _gradient(self) -> Iterator[None]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.supervision.stop_gradient):
            yield

    def _after_neck(self, neck: nn.Module, args: tuple, output: Any) -> None:
        step = self._step
        if step is not None and step.features.first and 'neck' not in step.features.first:
            self._pass_neck(step, output, *args[1:])

    def _pass_neck(self, step: _Step, output: Any, *args: Any) -> None:
        """Store the neck's outputs for both views, if a tap is behind it."""
        if not self.supervision.uses_neck:
            return
        first = output
        if step.neck_again:
            # The task's call saw other images than the inputs, or not all of them.
            with self.context.aside(step.inputs), keep_statistics(self.neck):
                first = self.neck.forward(step.raw[0], *args)
        second = first
        if step.second is not None:
            with (
                self.context.aside(step.inputs),
                keep_statistics(self.neck),
                self._gradient(),
                _too_small(step.second),
            ):
                second = self.neck.forward(step.raw[1], *args)
        step.features.first['neck'], step.features.second['neck'] = as_outputs(first), as_outputs(second)

    def _after_head(self, head: nn.Module, args: tuple, output: Any) -> None:
        if self._step is not None and self._step.views is not None and self._step.logits is None:
            self._step.logits = output

    # 4. Sample, project and compare.

    def _after_model(self, model: nn.Module, args: tuple, kwargs: dict, losses: Any) -> Any:
        if self._arguments(args, kwargs) is None:
            return losses
        if not isinstance(losses, dict):
            raise ValueError(f"{type(model).__name__} in mode='loss' returned {type(losses).__name__}, not a dict")
        # Free the tensors of the step.
        step, self._step = self._step, None
        if step is not None and step.mute:
            # Connected to the graph, since other ranks may wait in the backward pass.
            losses = {k: map_outputs(v, connected_zero) for k, v in losses.items() if 'loss' in k}
        added: dict[str, Tensor] | None = None
        if step is not None and step.views is not None:
            if step.other_images and not step.features.first:
                self._own_passes(step)
            self._check_features(step.features)
            if not self.strides:
                width = step.inputs.shape[-1]
                self.strides = {
                    tap.name: round(width / step.features.of(tap).shape[-1]) for tap in self.supervision.all_taps
                }
            self.supervision.choose_taps(step.features)
            if self.supervision.taps:
                with self.context.aside(step.inputs):
                    added = self._contrast(step, step.views)
        added = self.supervision.with_left_out(added or self.supervision.zero_losses())
        self.steps += 1
        self.added = {name: loss.detach() for name, loss in added.items()}
        return {**losses, **added}

    def _forget(self, model: nn.Module, args: tuple, kwargs: dict, losses: Any) -> None:
        # Also after an exception: what is left of its step must not reach a later call.
        if self._arguments(args, kwargs) is not None:
            self._step = None

    def _check_features(self, features: Features) -> None:
        missing = [tap.name for tap in self.supervision.all_taps if tap.source not in features.first]
        if missing:
            raise ValueError(
                f'neck.taps={missing}: {type(self.model).__name__} did not pass its inputs through them, unchanged and '
                'as the first argument; name outputs that its training step uses'
            )

    def _contrast(self, step: _Step, views: ViewPair) -> dict[str, Tensor]:
        if self.teacher is None:
            return self.supervision.losses(step.features, views)
        logits, rows = step.logits, step.rows
        if step.mute and rows is not None and isinstance(logits, Tensor):
            # One unlabelled image passed the heads to keep the ranks alike: drop its logits.
            logits, rows = logits[:0], rows[:0]
        inputs = (step.inputs, step.inputs if step.second is None else step.second)
        return distilled_losses(self.supervision, self.teacher, step.features, views, inputs, logits, rows)

    # Arguments of the model's forward, in the model's own names and order.

    def _module(self, path: str) -> nn.Module:
        try:
            return self.part.get_submodule(path)
        except AttributeError as error:
            names = [name for name, _ in self.part.named_modules() if name.startswith('backbone.')]
            raise unknown_name('neck.taps', path, names) from error

    def _arguments(self, args: tuple, kwargs: dict) -> dict[str, Any] | None:
        """The :data:`ARGUMENTS` of a training step by name; None for any other call."""
        given = {**dict(zip(self._positional, args, strict=False)), **kwargs}
        if not self.model.training or given.get('mode') != 'loss':
            return None
        return {name: given.get(name, given.get(own)) for name, own in self._own_names.items()}

    def _changed(self, args: tuple, kwargs: dict, changes: dict[str, Any]) -> tuple[tuple, dict]:
        """The arguments of a call with some values replaced, positional or keyword as before."""
        positional = list(args)
        for name, value in changes.items():
            key = name if name in kwargs else self._own_names[name]
            if key in kwargs:
                kwargs = {**kwargs, key: value}
            else:
                positional[self._positional.index(key)] = value
        return tuple(positional), kwargs


def _checkpointed(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function by torch's checkpoint, which keeps hooks on all later tensors if the function raises in it."""
    failed: list[Exception] = []
    called = False

    def run(*inputs: Any) -> Any:
        nonlocal called
        if called:
            return function(*inputs)
        called = True
        try:
            return function(*inputs)
        except Exception as error:
            failed.append(error)
            return None

    output = checkpoint(run, *args, use_reentrant=False)
    if failed:
        raise failed[0]
    return output


@contextmanager
def _too_small(second: Tensor) -> Iterator[None]:
    """Context that names the second view (N, C, H, W) where it is too small for a batch norm of the model."""
    try:
        yield
    except ValueError as error:
        if 'Expected more than 1 value per channel' not in str(error):
            raise
        (count, _, height, width) = second.shape
        raise ValueError(
            f'neck.view: the second view of this batch ({count} image, {height}x{width} pixels) is a single cell to a '
            'batch norm of the model, which needs two; set neck.view.scale=1.0, a larger batch_size or larger images'
        ) from error


def _positional_names(model: nn.Module) -> list[str]:
    """Names of the positional arguments of a model's forward; mmengine's if it takes ``*args``."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        names += [name for name in ARGUMENTS if name not in names]
    return names
