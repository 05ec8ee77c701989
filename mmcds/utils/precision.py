"""Calls modules of 16-bit models with the float32 values of the contrast."""

import torch
from torch import Tensor, nn


def call_in_own_dtype(module: nn.Module, x: Tensor) -> Tensor:
    """A module's output, float32 (or float64), for ``x`` of any floating dtype; its weights may be of 16 bits."""
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()
    weight = next(module.parameters(), None)
    if weight is not None and weight.dtype != x.dtype:
        # The model itself is of 16 bits, without autocast.
        return module(x.to(weight.dtype)).float()
    return module(x)
