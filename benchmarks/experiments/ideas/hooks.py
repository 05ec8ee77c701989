"""Other courses of the weight."""

from collections.abc import Mapping
from typing import Any

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
