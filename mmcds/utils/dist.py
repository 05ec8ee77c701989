"""Differentiable gather of unequal numbers of rows over the ranks of a job."""

from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size
from torch import Tensor


def gather_counts(count: int, device: torch.device) -> list[int]:
    """The number of rows on every rank. A collective: every rank must call it, also with 0 rows."""
    if get_world_size() == 1:
        return [count]
    counts = [torch.zeros(1, dtype=torch.long, device=device) for _ in range(get_world_size())]
    dist.all_gather(counts, torch.tensor([count], device=device))
    return [int(c) for c in torch.cat(counts).tolist()]


class _GatherRows(torch.autograd.Function):
    """All-gather of equally padded rows whose backward sums the gradients of all ranks' losses."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor) -> Tensor:
        out = [torch.empty_like(padded) for _ in range(get_world_size())]
        dist.all_gather(out, padded.contiguous())
        return torch.stack(out)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        grad = grad_outputs[0].contiguous()
        dist.all_reduce(grad)
        return grad[get_rank()]


def gather_rows(rows: Tensor, counts: list[int]) -> Tensor:
    """Concatenate the rows of all ranks, in the order of the ranks.

    The gradient of each rank's loss with respect to a row reaches the rank that made the row, so
    that the sum of the ranks' losses has the gradient of one process that held all rows. Ranks
    may hold different numbers of rows, including none. A collective: every rank must call it.

    Args:
        rows (Tensor): This rank's rows (M, ...), any dtype.
        counts (list[int]): M of every rank, from :func:`gather_counts`.

    Returns:
        Tensor: (sum of ``counts``, ...), the same on every rank.
    """
    if len(counts) == 1:
        return rows
    longest = max(counts)
    if longest == 0:
        return rows
    # Collectives need equal shapes: pad to the longest and cut again.
    padding = rows.new_zeros((longest - rows.shape[0], *rows.shape[1:]))
    gathered = _GatherRows.apply(torch.cat([rows, padding]))
    return torch.cat([gathered[rank, :count] for rank, count in enumerate(counts)])
