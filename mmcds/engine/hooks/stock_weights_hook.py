"""Hook that loads a CDS checkpoint into the stock model, and refuses one of another model."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcds.engine.weights import unwrapped, without_cds
from mmcds.registry import HOOKS


@HOOKS.register_module()
class StockWeightsHook(Hook):
    """Removes the weights of the contrast from a checkpoint before MMEngine loads it, and checks the others.

    ``tools/test.py`` adds it, since it tests the stock model. Without the check MMEngine would load the weights that
    fit, leave the others random, and report the accuracy of that.

    Example:
        >>> custom_hooks = [dict(type='mmcds.StockWeightsHook')]
    """

    # Before the EMAHook, which reads the same checkpoint.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Change the checkpoint before it is loaded into the model.

        Raises:
            ValueError: If a parameter of the model is missing or has another shape.
        """
        # The file may hold the weights alone, which MMEngine then gives as the checkpoint.
        loaded = checkpoint.get('state_dict', checkpoint)
        weights = without_cds(loaded)
        for key in [key for key in loaded if key not in weights]:
            del loaded[key]
        model = unwrapped(runner.model)
        shapes = {key.removeprefix('module.'): tuple(value.shape) for key, value in weights.items()}
        names = [name for name, _ in model.named_parameters()]
        wrong = [name for name, value in model.named_parameters() if shapes.get(name) != tuple(value.shape)]
        if wrong:
            raise ValueError(
                f'the checkpoint does not fit the config: {len(wrong)} of {len(names)} weights such as {wrong[:2]} are '
                'not in it or have another shape; give the config that it was trained with'
            )
