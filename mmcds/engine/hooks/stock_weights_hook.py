"""Loads a checkpoint of training with CDS into the stock model without a word about what is left over."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcds.registry import HOOKS
from mmcds.utils.checkpoint import without_cds


@HOOKS.register_module()
class StockWeightsHook(Hook):
    """Takes the weights of the contrast out of a checkpoint before MMEngine loads it.

    ``tools/test.py`` adds it, since it builds the stock model, which has no place for them.

    Example:
        >>> custom_hooks = [dict(type='mmcds.StockWeightsHook')]
    """

    # Before the EMAHook, which reads the same checkpoint.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Change what was read, before it goes into the model."""
        checkpoint['state_dict'] = without_cds(checkpoint['state_dict'])
