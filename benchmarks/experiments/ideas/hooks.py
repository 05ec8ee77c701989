"""Other courses of the weight."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmcds.models.necks import find_supervision

from .registry import HOOKS

KEY = 'ideas_task_loss'


@HOOKS.register_module()
class FollowTaskHook(Hook):
    """Weighs the contrast by how much of the task's loss is left: its moving average over that of the beginning.

    Args:
        settle (int): Iterations whose mean is the beginning. Defaults to 20.
        momentum (float): Of the moving average. Defaults to 0.95.
    """

    # After the CDSHook, whose weight it changes.
    priority = 'LOW'

    def __init__(self, settle: int = 20, momentum: float = 0.95) -> None:
        self.settle = settle
        self.momentum = momentum

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Change the weight of this iteration."""
        first, now, _ = self._state(runner)
        model: Any = runner.model.module if is_model_wrapper(runner.model) else runner.model
        find_supervision(model).weight *= min(now / first, 1.0) if first else 1.0

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Note the task's loss; what is noted is in the checkpoint."""
        assert isinstance(outputs, Mapping)
        task = sum(float(v) for k, v in outputs.items() if 'loss' in k and k != 'loss' and 'loss_cds' not in k)
        first, now, count = self._state(runner)
        if count < self.settle:
            first = now = (first * count + task) / (count + 1)
        else:
            now = self.momentum * now + (1 - self.momentum) * task
        runner.message_hub.update_info(KEY, [first, now, count + 1])

    @staticmethod
    def _state(runner: Runner) -> tuple[float, float, int]:
        first, now, count = runner.message_hub.get_info(KEY, [0.0, 0.0, 0])
        return first, now, count


SHARE = 'ideas_gradient_ratio'


@HOOKS.register_module()
class GradientShareHook(Hook):
    """Keeps the contrast's gradient on the backbone at no more than a share of the task's, by lowering its weight.

    Both gradients are measured every so many iterations, which takes a backward pass of each. The weight follows the
    mean of the measurements, which is in the checkpoint. One process only.

    Args:
        share (float): Largest norm of the contrast's gradient over that of the task's, > 0. Defaults to 1.
        interval (int): Iterations between measurements. Defaults to 20.
        momentum (float): Of the moving mean of the logarithm of the ratio. Defaults to 0.8.
    """

    # After the CDSHook, whose weight it changes.
    priority = 'LOW'

    def __init__(self, share: float = 1.0, interval: int = 20, momentum: float = 0.8) -> None:
        self.share = share
        self.interval = interval
        self.momentum = momentum
        self._handle: Any = None
        self._runner: Runner | None = None
        self._factor = 1.0

    def before_train(self, runner: Runner) -> None:
        """Look at the losses of each step."""
        self._runner = runner
        self._handle = runner.model.register_forward_hook(self._after_model)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Lower the weight of this iteration."""
        found = runner.message_hub.get_info(SHARE, None)
        self._factor = 1.0 if found is None else min(1.0, self.share / math.exp(found))
        find_supervision(runner.model).weight *= self._factor
        runner.message_hub.update_scalar('train/cds_share_factor', self._factor)

    def after_train(self, runner: Runner) -> None:
        """Remove the torch hook."""
        self._handle.remove()

    def _after_model(self, model: Any, args: tuple, losses: Any) -> None:
        runner = self._runner
        assert runner is not None
        if runner.iter % self.interval or not isinstance(losses, Mapping) or not find_supervision(model).weight:
            return
        parameters = [each for each in model.backbone.parameters() if each.requires_grad]
        norms = []
        for ours in (True, False):
            parts = [
                torch.as_tensor(each).sum()
                for name, value in losses.items()
                if 'loss' in name and name.startswith('loss_cds') is ours
                for each in (value if isinstance(value, (list, tuple)) else [value])
            ]
            found = torch.autograd.grad(torch.stack(parts).sum(), parameters, retain_graph=True, allow_unused=True)
            norms.append(torch.stack([each.norm() for each in found if each is not None]).norm().item())
        if not all(norms):
            return
        now = math.log(norms[0] / norms[1] / self._factor)
        before = runner.message_hub.get_info(SHARE, None)
        mean = now if before is None else self.momentum * before + (1 - self.momentum) * now
        runner.message_hub.update_info(SHARE, mean)
