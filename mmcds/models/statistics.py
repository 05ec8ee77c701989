"""Running statistics of batch normalisation, kept as they are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.utils.checkpoint
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def syncs_statistics(module: nn.Module) -> bool:
    """Whether a layer in a module normalises over all ranks, be it torch's or another package's."""
    # By name, since their base classes differ.
    return any('SyncBatchNorm' in kind.__name__ for each in module.modules() for kind in type(each).__mro__)


@contextmanager
def keep_statistics(module: nn.Module) -> Iterator[None]:
    """Normalise by the batch's own statistics, and keep them out of the running ones.

    What activation checkpointing computes again in the backward pass, when this context is long left,
    keeps them out, too.

    Args:
        module (nn.Module): Whose layers are meant.
    """
    checkpoint = torch.utils.checkpoint.checkpoint

    def checkpoint_quietly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def quietly(*inputs: Any, **options: Any) -> Any:
            with _not_tracking(module):
                return function(*inputs, **options)

        return checkpoint(quietly, *args, **kwargs)

    # mm backbones call it as a member of its module, with which it is replaced here for a while.
    torch.utils.checkpoint.checkpoint = checkpoint_quietly
    try:
        with _not_tracking(module):
            yield
    finally:
        torch.utils.checkpoint.checkpoint = checkpoint


@contextmanager
def _not_tracking(module: nn.Module) -> Iterator[None]:
    # Only those that track now: within each other, the outer context is the one that switches them on again.
    norms = [
        each for each in module.modules() if isinstance(each, _BatchNorm) and each.training and each.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
