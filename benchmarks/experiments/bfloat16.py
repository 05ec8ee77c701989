"""Mixed precision on a CPU, which mmengine's AmpOptimWrapper leaves to accelerators."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import autocast
from torch import nn


class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass under bfloat16 autocast; weights and their updates stay float32.

    bfloat16 has the range of float32, hence no loss scale. Name it by its whole path as ``optim_wrapper.type``.

    Raises:
        ValueError: In the first step of a model that is not on a CPU.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run one forward pass under bfloat16 autocast."""
        device = next(model.parameters()).device.type
        if device != 'cpu':
            raise ValueError(
                f'optim_wrapper.type=BFloat16OptimWrapper is for a CPU, and the model is on {device}; '
                "use type='AmpOptimWrapper', dtype='bfloat16'"
            )
        with super().optim_context(model), autocast(device_type='cpu', dtype=torch.bfloat16):
            yield
