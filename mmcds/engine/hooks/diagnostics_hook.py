"""Hook that logs the effect of the contrast on training: similarities, gradients, time and memory."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from mmcds.models.losses import ContrastiveLoss
from mmcds.models.necks import find_supervision, supervised_part
from mmcds.registry import HOOKS
from mmcds.utils.bn_statistics import recomputes
from mmcds.utils.errors import check_count, check_range

CDS, DISTILL = 'loss_cds', 'loss_distill'
#: Prefixes of the names of its scalars in the message hub.
PREFIXES = tuple(
    f'train/cds_{name}' for name in ('positives', 'negatives', 'pos_', 'neg_', 'grad_', 'backward_', 'extra_')
)


@HOOKS.register_module()
class DiagnosticsHook(Hook):
    """Measures the contrast every ``interval`` iterations and logs the result until the next measurement.

    The scalars go to MMEngine's message hub under ``train/``, and so to the console, to the JSON log and to the
    backends of the config's visualizer (TensorBoard, W&B, ...):

    - ``cds_positives``, ``cds_negatives``: per anchor, mean over anchors and taps, queue and other ranks included;
    - ``cds_pos_<tap>``, ``cds_neg_<tap>``: mean cosine similarity to positives and to negatives, in [-1, 1]. Training
      should separate them; both near 1 is collapse;
    - ``cds_grad_ratio``, ``cds_grad_cos``: norm of the gradient of the contrast over that of the task, on the
      backbone's parameters, and the cosine between them. A cosine below 0 means that they conflict;
    - ``cds_extra_time``: seconds that the contrast adds to the forward pass, and ``cds_backward_ratio``, the backward
      pass of the contrast over that of the task;
    - ``cds_extra_memory``: MiB that the contrast holds on the GPU at the end of the forward pass; none on a CPU.

    A measured iteration takes two more backward passes; the losses and gradients of training do not change. On
    average of three measurements in a row, one warning with a remedy is logged if anchors have fewer than ``fewest``
    negatives, and one if ``cds_grad_ratio`` is above ``strongest``. The value of a loss does not tell its weight: that
    of the contrast is near the logarithm of the number of embeddings, whatever the task's is.

    Args:
        interval (int): Number of iterations between measurements, >= 1. Defaults to 50.
        fewest (int): Number of negatives per anchor below which a warning is logged, >= 0. Defaults to 16.
        strongest (float): Ratio of the gradients above which a warning is logged, > 0; inf for none. Defaults to 3.

    Raises:
        ValueError: If an argument is out of range, or, before training, there is no CDSHook.

    Example:
        >>> custom_hooks = [dict(type='mmcds.CDSHook'), dict(type='mmcds.DiagnosticsHook', interval=100)]
    """

    # After the CDSHook, whose torch hooks have to be on the model, and before the LoggerHook, which writes the
    # scalars.
    priority = 55

    def __init__(self, interval: int = 50, fewest: int = 16, strongest: float = 3.0) -> None:
        self.interval = check_count('DiagnosticsHook.interval', interval, 1)
        self.fewest = check_count('DiagnosticsHook.fewest', fewest, 0)
        self.strongest = strongest
        if strongest != math.inf:
            check_range('DiagnosticsHook.strongest', strongest, 0, open_low=True)
        self._is_asked = False
        self._looking = False
        self._found: dict[str, list[float]] = {}
        #: The last three measurements of what can lead to a warning; a key is removed by its warning.
        self._last: dict[str, list[float]] = {'cds_negatives': [], 'cds_grad_ratio': []}
        self._calls = 0
        self._has_told = False

    def meter(self) -> Callable[[], AbstractContextManager[None]]:
        """Return the context manager that measures the contrast's work; the CDSHook calls this before training."""
        self._is_asked = True
        return self._measure

    def before_train(self, runner: Runner) -> None:
        """Register torch hooks on the model, after those of the CDSHook."""
        if not self._is_asked:
            raise ValueError(
                'DiagnosticsHook looks at the contrast, but custom_hooks has no CDSHook; add '
                "dict(type='mmcds.CDSHook') and a CDSNeck, or remove the DiagnosticsHook"
            )
        self._model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._supervision = find_supervision(self._model)
        two_views: Any = self._supervision.attached
        two_views.keep(self._model.register_forward_hook(self._after_model))
        loss = getattr(self._supervision, 'loss', None)
        if isinstance(loss, ContrastiveLoss):
            two_views.keep(loss.register_forward_hook(self._after_loss))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Decide whether this iteration is measured."""
        # In the same iterations as the LoggerHook, which counts from 1.
        self._looking = (runner.iter + 1) % self.interval == 0 and self._supervision.weight != 0
        self._found, self._calls = {}, 0

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Log the measurements."""
        if self._supervision.weight == 0:
            # The contrast has ended: do not repeat the last measurement in the log.
            for name in list(runner.message_hub.log_scalars):
                if name.startswith(PREFIXES):
                    runner.message_hub.log_scalars.pop(name)
        if not self._looking:
            return
        sums = ('cds_extra_time', 'cds_extra_memory')
        for name, values in self._found.items():
            value = sum(values) if name in sums else sum(values) / len(values)
            runner.message_hub.update_scalar(f'train/{name}', value)
        negatives, ratio = self._mean_of_three('cds_negatives'), self._mean_of_three('cds_grad_ratio')
        if negatives is not None and negatives < self.fewest:
            del self._last['cds_negatives']
            print_log(
                f'an anchor of the contrast has {negatives:.1f} negatives on average, too few to learn from '
                f'(DiagnosticsHook.fewest={self.fewest}); take larger batches, model.neck.queue_length=1024, or '
                'model.neck.sampler.background=16',
                logger='current',
                level=logging.WARNING,
            )
        if ratio is not None and ratio > self.strongest:
            del self._last['cds_grad_ratio']
            print_log(
                f"the contrast's gradient on the backbone is {ratio:.1f} times the task's "
                f'(DiagnosticsHook.strongest={self.strongest:g}); lower model.neck.loss_weight, or let it decay: '
                "dict(type='mmcds.CDSHook', schedule=dict(decay='cosine'))",
                logger='current',
                level=logging.WARNING,
            )

    def _mean_of_three(self, name: str) -> float | None:
        """Mean of the last three measurements, since a single batch may be untypical; None before, or once warned."""
        values, last = self._found.get(name), self._last.get(name)
        if not values or last is None:
            return None
        last[:] = [*last, sum(values) / len(values)][-3:]
        return sum(last) / 3 if len(last) == 3 else None

    def after_train(self, runner: Runner) -> None:
        """End the measurements; the CDSHook has removed the torch hooks."""
        self._looking = False

    def _note(self, name: str, value: float | Tensor) -> None:
        self._found.setdefault(name, []).append(float(value))

    @contextmanager
    def _measure(self) -> Iterator[None]:
        """Measure time and memory of a part of the contrast in the forward pass."""
        if not self._looking:
            yield
            return
        cuda = next(self._model.parameters()).is_cuda
        before, begun = torch.cuda.memory_allocated() if cuda else 0, _now(cuda)
        yield
        self._note('cds_extra_time', _now(cuda) - begun)
        if cuda:
            self._note('cds_extra_memory', (torch.cuda.memory_allocated() - before) / 2**20)

    @torch.no_grad()
    def _after_loss(self, module: ContrastiveLoss, args: tuple, output: Tensor) -> None:
        if not self._looking:
            return
        cuda = args[0].is_cuda
        begun = _now(cuda)
        keys, key_groups, own = module.compared(*args[:5])
        embeddings, is_anchor = args[0], args[3]
        if embeddings.dim() == 2:
            keys, embeddings = keys[None], embeddings[None]
        taps: Any = self._supervision.taps
        for tap_embeddings, tap_keys in zip(embeddings, keys, strict=True):
            tap = taps[self._calls % len(taps)].key
            self._measure_tap(tap, tap_embeddings, tap_keys, key_groups, own, is_anchor)
            self._calls += 1
        # The time of the contrast is measured around this.
        self._note('cds_extra_time', begun - _now(cuda))

    def _measure_tap(
        self, tap: str, embeddings: Tensor, keys: Tensor, key_groups: Tensor, own: Tensor, is_anchor: Tensor
    ) -> None:
        anchors, groups = embeddings[is_anchor], key_groups[own[is_anchor]]
        if not len(anchors):
            return
        total = keys.sum(0)
        all_groups, key_slot = torch.unique(key_groups, return_inverse=True)
        group_sum = keys.new_zeros(len(all_groups), keys.shape[1]).index_add(0, key_slot, keys)
        group_size = keys.new_zeros(len(all_groups)).index_add(0, key_slot, keys.new_ones(len(keys)))
        slot = torch.searchsorted(all_groups, groups)
        positives, negatives = group_size[slot] - 1, len(keys) - group_size[slot]
        own_keys = keys[own[is_anchor]]
        to_positives = (anchors * (group_sum[slot] - own_keys)).sum(1)
        to_negatives = (anchors * (total - group_sum[slot])).sum(1)
        self._note('cds_positives', positives.mean())
        self._note('cds_negatives', negatives.mean())
        if positives.sum():
            self._note(f'cds_pos_{tap}', (to_positives / positives.clamp(min=1))[positives > 0].mean())
        if negatives.sum():
            self._note(f'cds_neg_{tap}', (to_negatives / negatives.clamp(min=1))[negatives > 0].mean())

    def _after_model(self, model: Any, args: tuple, losses: Any) -> None:
        if not self._looking or not isinstance(losses, Mapping):
            return
        parts: dict[bool, list[Tensor]] = {True: [], False: []}
        for name, value in losses.items():
            # Losses of a distillation are neither the contrast's nor the task's.
            if 'loss' in name and not name.startswith(DISTILL):
                parts[name.startswith(CDS)] += [loss.mean() for loss in _tensors(value) if loss.requires_grad]
        part: Any = supervised_part(self._model)
        parameters = [p for p in part.backbone.parameters() if p.requires_grad]
        if not all(parts.values()) or not parameters:
            return
        if recomputes(self._model):
            if not self._has_told:
                self._has_told = True
                print_log(
                    'DiagnosticsHook does not measure the gradients: the model recomputes activations (with_cp or the '
                    'like), and torch then gives no gradient of a part of the losses; switch it off to measure them',
                    logger='current',
                    level=logging.WARNING,
                )
            return
        cuda = parameters[0].is_cuda
        gradients, seconds = [], []
        for ours in (True, False):
            begun = _now(cuda)
            grads = torch.autograd.grad(
                torch.stack(parts[ours]).sum(), parameters, retain_graph=True, allow_unused=True
            )
            seconds.append(_now(cuda) - begun)
            gradients.append([torch.zeros_like(p) if g is None else g for g, p in zip(grads, parameters, strict=True)])
        contrast, task = (torch.cat([g.flatten().double() for g in grads]) for grads in gradients)
        if contrast.norm() and task.norm():
            self._note('cds_grad_ratio', contrast.norm() / task.norm())
            self._note('cds_grad_cos', contrast @ task / (contrast.norm() * task.norm()))
        self._note('cds_backward_ratio', seconds[0] / seconds[1])


def _tensors(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [tensor for item in value for tensor in _tensors(item)]


def _now(cuda: bool) -> float:
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter()
