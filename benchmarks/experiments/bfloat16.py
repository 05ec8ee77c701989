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
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Of one forward pass."""
        with super().optim_context(model), autocast(device_type='cpu', dtype=torch.bfloat16):
            yield
