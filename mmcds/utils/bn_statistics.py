"""A pass through a module that leaves its running statistics as they are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .tree import as_outputs

#: Switches by which backbones of the mm packages, timm and transformers compute activations again.
CHECKPOINT_SWITCHES = ('with_cp', 'use_checkpoint', 'grad_checkpointing', 'gradient_checkpointing')
#: Where mmengine makes the forward of a module that checkpoints.
MMENGINE_CHECKPOINTING = 'mmengine.runner.activation_checkpointing'


def syncs_statistics(module: nn.Module) -> bool:
    """Whether a layer in a module normalises over all ranks, be it torch's or another package's."""
    # By name, since their base classes differ.
    return any('SyncBatchNorm' in kind.__name__ for each in module.modules() for kind in type(each).__mro__)


def recomputes(module: nn.Module) -> bool:
    """Whether a part of a module computes its activations again in the backward pass (activation checkpointing)."""
    return any(True for _ in _checkpointing(module))


def refuse_unknown_recomputing(module: nn.Module, output: Any) -> None:
    """Fail on a part that recomputes activations by a switch of its own, whose statistics would not be kept.

    Args:
        module (nn.Module): Called in :func:`keep_statistics`.
        output: What it returned, with its graph.

    Raises:
        ValueError: If the graph has a reentrant checkpoint. For the other kind torch raises in the backward pass.
    """
    if not any(map(_tracks, module.modules())):
        return
    nodes = [each.grad_fn for each in as_outputs(output) if isinstance(each, Tensor) and each.grad_fn is not None]
    seen = set(nodes)
    while nodes:
        node = nodes.pop()
        if node.name() == 'CheckpointFunctionBackward':
            raise ValueError(
                f'{type(module).__name__} computes activations again in the backward pass by a switch that mmcds does '
                'not know, so the second view would change its running statistics; switch that off '
                '(neck.recompute=True saves the memory), or name the attribute that says so like one of '
                f'{", ".join(CHECKPOINT_SWITCHES)}'
            )
        new = {each for each, _ in node.next_functions if each is not None} - seen
        seen |= new
        nodes += new


@contextmanager
def keep_statistics(module: nn.Module) -> Iterator[None]:
    """Normalise by the batch's own statistics and keep them out of the running ones.

    Activation checkpointing inside the module is off meanwhile: what it computes again in the backward pass would be
    computed outside of this context. To save memory, checkpoint the whole call and enter this context in it. Other
    state that a forward pass changes, such as the vectors of a spectral norm, is not kept.

    Args:
        module (nn.Module): Whose layers are meant.
    """
    changed: list[tuple[nn.Module, str, Any]] = [
        (each, 'track_running_stats', False) for each in module.modules() if _tracks(each)
    ]
    # Only torch's batch norms leave the running statistics alone without tracking; the others add a share of 0.
    changed += [(each, 'momentum', 0.0) for each, _, _ in changed if not isinstance(each, _BatchNorm)]
    changed += list(_checkpointing(module))
    before = [getattr(each, name) for each, name, _ in changed]
    for each, name, value in changed:
        setattr(each, name, value)
    try:
        yield
    finally:
        for (each, name, _), value in zip(changed, before, strict=True):
            setattr(each, name, value)


def _tracks(module: nn.Module) -> bool:
    # Not those that an outer context has switched off: it switches them on again.
    return module.training and getattr(module, 'track_running_stats', False) is True


def _checkpointing(module: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """The parts that checkpoint activations, the attribute that says so, and its value for a pass without."""
    for each in module.modules():
        own = vars(each)
        yield from ((each, name, False) for name in CHECKPOINT_SWITCHES if own.get(name))
        # torch's CheckpointWrapper.
        if callable(own.get('checkpoint_fn')) and own['checkpoint_fn'] is not _call:
            yield each, 'checkpoint_fn', _call
        # The forward that mmengine gives to modules named in the config's `activation_checkpointing`.
        forward: Any = own.get('forward')
        if getattr(forward, '__globals__', {}).get('__name__') == MMENGINE_CHECKPOINTING:
            yield each, 'forward', forward.__wrapped__


def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)
