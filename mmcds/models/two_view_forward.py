"""Sends a second view through a model that knows of one."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmcds.utils.dist import get_world_size
from mmcds.utils.errors import unknown_name

from .distilling import distilled_losses
from .necks.stock_neck import ATTRIBUTE, find_supervision
from .outputs import as_map, as_outputs, connected_zero, map_outputs, select_outputs, split_outputs
from .packing import packing_of
from .partly_labelled import labelled_rows, with_dummy_label
from .samplers import ViewPair
from .statistics import keep_statistics, recomputes, refuse_unknown_recomputing, syncs_statistics
from .teacher import Teacher
from .views.describe import check_batch

#: Arguments of a model's forward, in mmengine's order.
ARGUMENTS = ('inputs', 'data_samples', 'mode')


class TwoViewForward:
    """Torch forward hooks on a model with a CDSNeck, acting on ``mode='loss'`` in training only.

    The task sees view 1 alone. View 2 follows in a pass of its own, or in one batch with view 1
    (``concat``), through the backbone and, where a tap wants it, the neck. The losses of the contrast
    join those of the model. Hooks run inside ``module.__call__`` and so under any wrapper.

    Images whose data samples say ``labelled=False`` join the contrast and nothing else: the backbone sees them, the
    neck and the heads do not.

    Unless ``concat`` is set, the random generators are given back as they were found and the running
    statistics of batch normalisation are those of view 1: the task's own randomness and
    inference stay the stock's.

    Args:
        model (nn.Module): A detector or classifier without a wrapper such as DDP.

    Raises:
        ValueError: If its neck is no CDSNeck or it has no backbone.

    Attributes:
        seed (int | None): Seed of the iteration's random numbers, to be set before each: second view, second pass and
            sampler draw from one generator, one after the other, so that a resumed run repeats them. If the model is
            called twice in an iteration, the generator goes on. Defaults to None: the global generators go on.
        steps (int): Training steps in which it has added its losses so far.
        added (dict[str, Tensor]): The losses added in the last of them, without their graph.
        teacher (Teacher | None): Whom the student follows, too, if its CDSNeck has ``distill``. Defaults to None.
        meter (Callable): Makes a context that is entered around all that a step does for the contrast. Defaults to one
            that does nothing.
        has_unlabelled (bool): Whether the training set has unlabelled images, as all ranks know it before they see
            one. Needed where a tap is behind a neck with SyncBN. Defaults to False.

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
        self.teacher: Teacher | None = None
        self.has_unlabelled = False
        self.meter: Callable[[], AbstractContextManager[None]] = nullcontext
        self.steps = 0
        self._checked_pass = False
        self.added: dict[str, Tensor] = {}
        self._positional = _positional_names(model)
        # A forward with names of its own has them in mmengine's order.
        self._own_names = {
            name: name if name in self._positional or i >= len(self._positional) else self._positional[i]
            for i, name in enumerate(ARGUMENTS)
        }
        self._handles: list[Any] = []
        self._reset()

    def _reset(self) -> None:
        self._inputs: Any = None
        self._views: ViewPair | None = None
        self._second: Any = None
        self._batch: Any = None
        self._raw: tuple[Any, Any] = (None, None)
        self._features: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        self._rows: Tensor | None = None
        self._neck_again = False
        self._mute = False
        self._logits: Any = None
        self._inside: dict[str, Any] = {}

    @property
    def seed(self) -> int | None:
        """See the class."""
        return self._seed

    @seed.setter
    def seed(self, seed: int | None) -> None:
        self._seed = seed
        # Of the generator, on the CPU and on the GPU of the inputs; None before it was drawn from.
        self._random_states: tuple[Tensor, Tensor | None] | None = None

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
            for path in self.supervision.modules_tapped:
                self._handles.append(self._module(path).register_forward_hook(partial(self._after_module, path)))
            head = getattr(self.model, 'head', None)
            if getattr(self.supervision, 'distill', None) is not None and isinstance(head, nn.Module):
                self._handles.append(head.register_forward_hook(self._after_head))
        return self

    def detach(self) -> None:
        """Take the hooks off; the model is the stock one again."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._reset()

    def _module(self, path: str) -> nn.Module:
        try:
            return self.model.get_submodule(path)
        except AttributeError as error:
            names = [name for name, _ in self.model.named_modules() if name.startswith('backbone.')]
            raise unknown_name('neck.taps', path, names) from error

    def _arguments(self, args: tuple, kwargs: dict) -> dict[str, Any] | None:
        """The :data:`ARGUMENTS` of a training step by name, None for any other call."""
        found = {**dict(zip(self._positional, args, strict=False)), **kwargs}
        if not self.model.training or found.get('mode') != 'loss':
            return None
        return {name: found.get(name, found.get(own)) for name, own in self._own_names.items()}

    def _changed(self, args: tuple, kwargs: dict, changes: dict[str, Any]) -> tuple[tuple, dict]:
        """The arguments of a call with some of them changed, each where it was."""
        positional = list(args)
        for name, value in changes.items():
            key = name if name in kwargs else self._own_names[name]
            if key in kwargs:
                kwargs = {**kwargs, key: value}
            else:
                positional[self._positional.index(key)] = value
        return tuple(positional), kwargs

    def _before_model(self, model: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        found = self._arguments(args, kwargs)
        if found is None:
            return None
        # Not before: a training step may call its own model in another mode.
        self._reset()
        inputs, data_samples = found['inputs'], found['data_samples']
        check_batch(type(model).__name__, inputs, data_samples)
        rows = labelled_rows(data_samples)
        active = self.supervision.weight != 0
        if not active and rows is None:
            return None
        if active:
            with self._aside(inputs):
                self._second, self._views = self._second_view(inputs, data_samples)
            self._inputs = inputs
            self._neck_again = self._needs_neck_again(rows is not None)
        if rows is None:
            return None
        # The task sees the labelled images alone. A batch without any still passes the heads, so that
        # all ranks do the same, but its losses count nothing.
        self._mute = not rows
        kept = [data_samples[i] for i in rows] or [with_dummy_label(data_samples[0])]
        index = torch.tensor(rows or [0], device=inputs.device)
        changes: dict[str, Any] = {'data_samples': kept}
        if active:
            self._rows = index
        else:
            changes['inputs'] = inputs.index_select(0, index)
        return self._changed(args, kwargs, changes)

    def _second_view(self, inputs: Tensor, data_samples: Any) -> tuple[Tensor | None, ViewPair]:
        """What the backbone sees of the second view, and what is known of both views."""
        view: Any = self.supervision.view
        preprocessor: Any = self.model.data_preprocessor
        if not self.supervision.packs:
            made: tuple[Tensor | None, ViewPair] = view(inputs, data_samples, preprocessor)
            return made
        size = inputs.shape[2:]
        packing = packing_of(size, view.size_of(size), view.scale, len(inputs))
        order = packing.order
        tiles = view.augment(inputs[order], [data_samples[i] for i in order], preprocessor, packing.tile)
        views = view.describe(inputs, data_samples, packing.tile)
        views.packing = packing
        return packing.pack(tiles), views

    def _needs_neck_again(self, unlabelled: bool) -> bool:
        """Whether view 1 passes the neck once more, because the task's pass does not see all of its images."""
        stock = (module for name, module in self.neck.named_children() if name != ATTRIBUTE)
        waits = self.supervision.uses_neck and get_world_size() > 1 and any(map(syncs_statistics, stock))
        if waits and unlabelled and not self.has_unlabelled:
            raise ValueError(
                f'neck.taps={[tap.name for tap in self.supervision.taps if tap.source == "neck"]} behind a neck with '
                'SyncBN: a data sample says labelled=False, and ranks without such a one would wait for ever; use '
                'mmcds.LabelledFraction, give the data set has_unlabelled=True, or tap the backbone only'
            )
        # Norms over ranks wait for each other: where one rank's batch may need a pass more, all make it.
        return unlabelled or (waits and self.has_unlabelled)

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
        if self._views is None or not args or self._features[0]:
            return None
        if self._batch is not None:
            if args[0] is not self._batch:
                return None
            if any(isinstance(each, Tensor) and len(each) != len(args[0]) for each in as_outputs(output)):
                raise ValueError(
                    f'neck.concat=True: {type(backbone).__name__} returns another number of maps than it gets images, '
                    'so the views cannot be told apart; set concat=False'
                )
            count = len(self._inputs)
            self._raw = (split_outputs(output, 0, count), split_outputs(output, 1, count))
            self._keep('backbone', *self._raw)
            inside = {path: as_map(map_) for path, map_ in self._inside.items()}
            self._features[0]['both'] = {'backbone': as_outputs(output), 'module': inside}
            halves = [{path: split_outputs(map_, v, count) for path, map_ in inside.items()} for v in (0, 1)]
            self._features[0]['module'], self._features[1]['module'] = halves
            return self._labelled(self._raw[0])
        if args[0] is not self._inputs:
            return None
        second, inside = output, self._inside
        if self._second is not None:
            self._inside = {}
            with self._aside(args[0]), self._gradient():
                second = self._pass(backbone, self._second.to(args[0].dtype), *args[1:])
            self._check_pass(backbone, second)
        self._raw = (output, second)
        self._keep('backbone', *self._raw)
        self._features[0]['module'], self._features[1]['module'] = inside, self._inside
        return self._labelled(output)

    def _pass(self, backbone: nn.Module, *args: Any) -> Any:
        """The second view's own pass, which leaves the running statistics as they are."""

        def run(*inputs: Any) -> Any:
            # Inside of what is checkpointed, so that it holds in the backward pass, too.
            with keep_statistics(backbone):
                return backbone.forward(*inputs)

        # A backbone that saves memory by itself cannot while its statistics are kept: its whole pass is computed again.
        if torch.is_grad_enabled() and (self.supervision.recompute or recomputes(backbone)):
            return checkpoint(run, *args, use_reentrant=False)
        return run(*args)

    def _check_pass(self, backbone: nn.Module, output: Any) -> None:
        """Look once for a backbone whose running statistics cannot be kept."""
        if not self._checked_pass:
            self._checked_pass = True
            refuse_unknown_recomputing(backbone, output)

    def _after_module(self, path: str, module: nn.Module, args: tuple, output: Any) -> None:
        # Until the backbone's own hook has taken what it found in both views.
        if self._views is not None and 'module' not in self._features[1]:
            self._inside[path] = output

    def _after_neck(self, neck: nn.Module, args: tuple, output: Any) -> None:
        if not self._features[0] or 'neck' in self._features[0] or not self.supervision.uses_neck:
            return
        first = output
        if self._neck_again:
            # The task's call saw the labelled images alone.
            with self._aside(self._inputs), keep_statistics(neck):
                first = neck.forward(self._raw[0], *args[1:])
        second = first
        if self._second is not None:
            with self._aside(self._inputs), keep_statistics(neck), self._gradient():
                second = neck.forward(self._raw[1], *args[1:])
        self._keep('neck', first, second)

    def _after_head(self, head: nn.Module, args: tuple, output: Any) -> None:
        if self._views is not None and self._logits is None:
            self._logits = output

    def _after_model(self, model: nn.Module, args: tuple, kwargs: dict, losses: Any) -> Any:
        if self._arguments(args, kwargs) is None:
            return losses
        if not isinstance(losses, dict):
            raise ValueError(f"{type(model).__name__} in mode='loss' returned {type(losses).__name__}, not a dict")
        if self._mute:
            # Connected to the graph, since other ranks may wait in the backward pass.
            losses = {k: map_outputs(v, connected_zero) for k, v in losses.items() if 'loss' in k}
        if self._views is None:
            self._reset()
            return self._joined(losses, self.supervision.zero_losses())
        missing = [tap.name for tap in self.supervision.all_taps if tap.source not in self._features[0]]
        if missing:
            self._reset()
            raise ValueError(
                f'neck.taps={missing}: {type(model).__name__} did not pass its inputs through them, unchanged and as '
                'the first argument; name outputs that its training step uses'
            )
        self.supervision.choose_taps(self._features[0])
        with self._aside(self._inputs):
            added = self._contrast() if self.supervision.taps else self.supervision.zero_losses()
        self._reset()
        return self._joined(losses, added)

    def _joined(self, losses: dict[str, Any], added: dict[str, Tensor]) -> dict[str, Any]:
        """The losses of the task and those of the contrast."""
        added = self.supervision.with_left_out(added)
        self.steps += 1
        self.added = {name: loss.detach() for name, loss in added.items()}
        return {**losses, **added}

    def _contrast(self) -> dict[str, Tensor]:
        assert self._views is not None
        if self.teacher is None:
            return self.supervision.losses(self._features, self._views)
        second = self._inputs if self._second is None else self._second
        logits, rows = self._logits, self._rows
        if self._mute and rows is not None and isinstance(logits, Tensor):
            # The one image that passed the heads for the others' sake: its logits count nothing either.
            logits, rows = logits[:0], rows[:0]
        return distilled_losses(
            self.supervision, self.teacher, self._features, self._views, (self._inputs, second), logits, rows
        )

    def _keep(self, source: str, first: Any, second: Any) -> None:
        for view, output in zip(self._features, (first, second), strict=True):
            view[source] = as_outputs(output)

    def _labelled(self, output: Any) -> Any:
        """What goes on to the neck: the rows of labelled images."""
        return output if self._rows is None else select_outputs(output, self._rows)

    @contextmanager
    def _aside(self, like: Tensor | None) -> Iterator[None]:
        """Draw from generators of our own, so that the task's are left as they are."""
        with self.meter():
            if like is None or self.seed is None:
                yield
                return
            cuda = like.device if like.device.type == 'cuda' else None
            with torch.random.fork_rng(devices=[] if cuda is None else [cuda]):
                if self._random_states is None:
                    torch.manual_seed(self.seed)
                else:
                    # Where the last one to draw in this step stopped: nobody sees the same numbers twice.
                    torch.set_rng_state(self._random_states[0])
                    if cuda is not None and self._random_states[1] is not None:
                        torch.cuda.set_rng_state(self._random_states[1], cuda)
                yield
                on_gpu = None if cuda is None else torch.cuda.get_rng_state(cuda)
                self._random_states = torch.get_rng_state(), on_gpu

    @contextmanager
    def _gradient(self) -> Iterator[None]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.supervision.stop_gradient):
            yield


def _positional_names(model: nn.Module) -> list[str]:
    """Names of the positional arguments of a model's forward; mmengine's where it takes ``*args``."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    names = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        names += [name for name in ARGUMENTS if name not in names]
    return names
