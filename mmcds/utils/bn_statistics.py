"""Calls a module without updating its running statistics."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .tree import as_outputs

#: Attributes that switch activation checkpointing in backbones of the mm packages, timm and transformers.
CHECKPOINT_SWITCHES = ('with_cp', 'use_checkpoint', 'grad_checkpointing', 'gradient_checkpointing')
#: Module of mmengine that makes the forward of a checkpointed module.
MMENGINE_CHECKPOINTING = 'mmengine.runner.activation_checkpointing'


def syncs_statistics(module: nn.Module) -> bool:
    """Whether a layer in a module normalises over all ranks, be it torch's or another package's."""
    # By name, since their base classes differ.
    return any('SyncBatchNorm' in kind.__name__ for layer in module.modules() for kind in type(layer).__mro__)


def recomputes(module: nn.Module) -> bool:
    """Whether a part of a module computes its activations again in the backward pass (activation checkpointing)."""
    return any(True for _ in _checkpointing(module))


def refuse_unknown_recomputing(module: nn.Module, output: Any) -> None:
    """Raise on a part that recomputes activations by an unknown switch, whose statistics would not be kept.

    Args:
        module (nn.Module): Called in :func:`keep_statistics`.
        output: What it returned, with its graph.

    Raises:
        ValueError: If the graph has a reentrant checkpoint. For the other kind torch raises in the backward pass.
    """
    if not any(map(_tracks, module.modules())):
        return
    if has_reentrant_checkpoint(output):
        raise ValueError(
            f'{type(module).__name__} recomputes activations by a switch that mmcds does not know, so that view 2 '
            'would change its running statistics; switch it off (neck.recompute=True saves the memory), or give '
            f'the attribute one of the names {", ".join(CHECKPOINT_SWITCHES)}'
        )


def has_reentrant_checkpoint(output: Any) -> bool:
    """Whether the graph of an output has one of torch's reentrant checkpoints."""
    nodes = [t.grad_fn for t in as_outputs(output) if isinstance(t, Tensor) and t.grad_fn is not None]
    seen = set(nodes)
    while nodes:
        node = nodes.pop()
        if node.name() == 'CheckpointFunctionBackward':
            return True
        new = {parent for parent, _ in node.next_functions if parent is not None} - seen
        seen |= new
        nodes += new
    return False


@contextmanager
def keep_statistics(module: nn.Module) -> Iterator[None]:
    """Context in which batch norms use the batch's statistics and do not update the running ones.

    Activation checkpointing inside the module is off in this context, since its recomputation in the backward pass
    would run outside of it. To save memory, checkpoint the full call and enter this context inside it. Other
    state that a forward pass changes, such as the vectors of a spectral norm, is not kept.

    Args:
        module (nn.Module): The module with the batch norms.
    """
    changed: list[tuple[nn.Module, str, Any]] = [
        (layer, 'track_running_stats', False) for layer in module.modules() if _tracks(layer)
    ]
    # Only torch's batch norms leave the running statistics alone without tracking; the others add a share of 0.
    changed += [(layer, 'momentum', 0.0) for layer, _, _ in changed if not isinstance(layer, _BatchNorm)]
    changed += list(_checkpointing(module))
    before = [getattr(layer, name) for layer, name, _ in changed]
    for layer, name, value in changed:
        setattr(layer, name, value)
    try:
        yield
    finally:
        for (layer, name, _), value in zip(changed, before, strict=True):
            setattr(layer, name, value)


def _tracks(module: nn.Module) -> bool:
    # Skip layers that an outer context has switched off: that context restores them.
    return module.training and getattr(module, 'track_running_stats', False) is True


def _checkpointing(module: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """The parts that checkpoint activations, the attribute that switches it, and its value for off."""
    for part in module.modules():
        own = vars(part)
        yield from ((part, name, False) for name in CHECKPOINT_SWITCHES if own.get(name))
        # torch's CheckpointWrapper.
        if callable(own.get('checkpoint_fn')) and own['checkpoint_fn'] is not _call:
            yield part, 'checkpoint_fn', _call
        # The forward that mmengine gives to modules named in the config's `activation_checkpointing`.
        forward: Any = own.get('forward')
        if getattr(forward, '__globals__', {}).get('__name__') == MMENGINE_CHECKPOINTING:
            yield part, 'forward', forward.__wrapped__


def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)
