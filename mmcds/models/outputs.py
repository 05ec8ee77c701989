"""What backbones and necks return, whatever container it comes in."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor


def as_outputs(output: Any) -> tuple:
    """What a backbone or neck returned, as a tuple of its feature maps."""
    if isinstance(output, Mapping):
        return tuple(output.values())
    return tuple(output) if isinstance(output, (tuple, list)) else (output,)


def map_outputs(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply ``change`` to every tensor of nested outputs, keeping their containers."""
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, Mapping):
        return type(output)((key, map_outputs(value, change)) for key, value in output.items())  # type: ignore[call-arg]
    if isinstance(output, (tuple, list)):
        return type(output)(map_outputs(value, change) for value in output)
    return output


def split_outputs(output: Any, part: int) -> Any:
    """The first (0) or second (1) half of the batch in every tensor of nested outputs."""
    return map_outputs(output, lambda tensor: tensor.chunk(2)[part])


def select_outputs(output: Any, rows: Tensor) -> Any:
    """These images (k,), int64, of the batch in every tensor of nested outputs."""
    return map_outputs(output, lambda tensor: tensor.index_select(0, rows))


def as_map(output: Any) -> Any:
    """A module's output as a feature map (N, C, h, w), where it is one in another form.

    Transformers' stages return tokens (N, L, C) together with the (h, w) they came from.
    """
    if isinstance(output, (tuple, list)) and len(output) == 2 and isinstance(output[0], Tensor):
        tokens, size = output
        if tokens.dim() == 3 and len(size) == 2 and int(size[0]) * int(size[1]) == tokens.shape[1]:
            return tokens.transpose(1, 2).unflatten(2, (int(size[0]), int(size[1])))
    return output
