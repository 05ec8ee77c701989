"""Helpers for the outputs of backbones and necks, in any container."""

from collections.abc import Callable, Mapping, MutableMapping
from copy import copy
from typing import Any

import torch
from torch import Tensor


def as_outputs(output: Any) -> tuple:
    """The outputs of a backbone or neck as a tuple of feature maps."""
    if isinstance(output, Mapping):
        return tuple(output.values())
    return tuple(output) if isinstance(output, (tuple, list)) else (output,)


def map_outputs(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply ``change`` to every tensor of nested outputs, keeping their containers."""
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, MutableMapping):
        # A copy, since a constructor may take other arguments than pairs, as defaultdict's does.
        changed = copy(output)
        for key, value in output.items():
            changed[key] = map_outputs(value, change)
        return changed
    if isinstance(output, Mapping):
        return {key: map_outputs(value, change) for key, value in output.items()}
    if isinstance(output, (tuple, list)):
        values = [map_outputs(value, change) for value in output]
        # A named tuple takes its values one by one.
        return type(output)(*values) if hasattr(output, '_fields') else type(output)(values)
    return output


def split_outputs(output: Any, part: int, count: int) -> Any:
    """The first ``count`` rows of the batch (part 0) or those after them (1) in every tensor of nested outputs."""
    return map_outputs(output, lambda tensor: tensor.tensor_split([count])[part])


def select_outputs(output: Any, rows: Tensor) -> Any:
    """Select the images (k,), int64, of the batch in every tensor of nested outputs."""
    return map_outputs(output, lambda tensor: tensor.index_select(0, rows))


def as_map(output: Any) -> Any:
    """A module's output as a feature map (N, C, h, w), if it is one in another form.

    Transformers' stages return tokens (N, L, C) together with the (h, w) they came from; a vision transformer returns
    the map together with its class token (N, C).
    """
    if isinstance(output, (tuple, list)) and len(output) == 2 and isinstance(output[0], Tensor):
        tokens, size = output
        if tokens.dim() == 4 and isinstance(size, Tensor) and size.shape == tokens.shape[:2]:
            return tokens
        if tokens.dim() == 3 and len(size) == 2 and int(size[0]) * int(size[1]) == tokens.shape[1]:
            return tokens.transpose(1, 2).unflatten(2, (int(size[0]), int(size[1])))
    return output


def connected_zero(*tensors: Tensor) -> Tensor:
    """A scalar 0 in the graph of tensors, also if they are infinite, where 0 * inf would be NaN."""
    return torch.cat([tensor.flatten()[:0] for tensor in tensors]).sum()
