"""Loads a checkpoint of training with CDS into the stock model, and refuses one of another model."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcds.engine.weights import unwrapped, without_cds
from mmcds.registry import HOOKS


@HOOKS.register_module()
class StockWeightsHook(Hook):
    """Takes the weights of the contrast out of a checkpoint before MMEngine loads it, and looks at the others.

    ``tools/test.py`` adds it: it builds the stock model, which has no place for them; and MMEngine would load what
    fits, leave the rest at random and report an accuracy of that.

    Example:
        >>> custom_hooks = [dict(type='mmcds.StockWeightsHook')]
    """

    # Before the EMAHook, which reads the same checkpoint.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Change what was read, before it goes into the model.

        Raises:
            ValueError: If a parameter of the model lacks, or has another shape.
        """
        weights = without_cds(checkpoint['state_dict'])
        checkpoint['state_dict'] = weights
        model = unwrapped(runner.model)
        found = {key.removeprefix('module.'): tuple(value.shape) for key, value in weights.items()}
        names = [name for name, _ in model.named_parameters()]
        wrong = [name for name, value in model.named_parameters() if found.get(name) != tuple(value.shape)]
        if wrong:
            raise ValueError(
                f'the checkpoint does not fit the config: {len(wrong)} of {len(names)} weights such as {wrong[:2]} are '
                'not in it or have another shape; give the config that it was trained with'
            )
