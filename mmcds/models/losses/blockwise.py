"""Row-wise log-sum-exp of all similarities, without the matrix of all similarities."""

from typing import Any

import torch
from torch import Tensor

#: Similarities held at a time. A block this size stays in a CPU's cache and fills a GPU.
BLOCK_ELEMENTS = {'cpu': 2**20, 'cuda': 2**25}


class _SumLogSumExp(torch.autograd.Function):
    """sum_i w_i log sum_{j != own_i} exp(a_i . k_j / tau), and its gradients, block by block of rows.

    The gradients are made together with the value, while a block's softmax is at hand: nothing of size
    A x K is kept, and no product is computed twice.
    """

    @staticmethod
    def forward(
        ctx: Any, anchors: Tensor, keys: Tensor, own: Tensor, weights: Tensor, temperature: float, rows: int
    ) -> Tensor:
        needs_anchors, needs_keys = ctx.needs_input_grad[:2]
        grad_anchors = torch.empty_like(anchors) if needs_anchors else None
        grad_keys = torch.zeros_like(keys) if needs_keys else None
        total = anchors.new_zeros(())
        transposed = keys.t()
        block = anchors.new_empty(min(rows, len(anchors)), len(keys))
        for start in range(0, len(anchors), rows):
            part, weight = anchors[start : start + rows] / temperature, weights[start : start + rows, None]
            similarity = block[: len(part)]
            torch.mm(part, transposed, out=similarity)
            similarity.scatter_(1, own[start : start + rows, None], float('-inf'))
            highest = similarity.amax(1, keepdim=True)
            exponentials = similarity.sub_(highest).exp_()
            sums = exponentials.sum(1, keepdim=True)
            total += ((sums.log() + highest) * weight).sum()
            if grad_anchors is None and grad_keys is None:
                continue
            # The row's softmax, times its weight over tau.
            scale = weight / (sums * temperature)
            if grad_anchors is not None:
                torch.mm(exponentials, keys, out=grad_anchors[start : start + rows])
                grad_anchors[start : start + rows] *= scale
            if grad_keys is not None:
                # part has one temperature in it already.
                grad_keys.addmm_(exponentials.t(), part * (scale * temperature))
        ctx.save_for_backward(*(grad for grad in (grad_anchors, grad_keys) if grad is not None))
        ctx.needs = (needs_anchors, needs_keys)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        saved = iter(ctx.saved_tensors)
        grads = [next(saved) * outer[0] if needed else None for needed in ctx.needs]
        return (*grads, None, None, None, None)


def sum_logsumexp(
    anchors: Tensor, keys: Tensor, own: Tensor, weights: Tensor, temperature: float, rows: int | None = None
) -> Tensor:
    r""":math:`\sum_i w_i \log \sum_{j \ne own_i} \exp(a_i \cdot k_j / \tau)`, in memory of O(A + K) and one block.

    Args:
        anchors (Tensor): (A, D), float32 or float64, A >= 1.
        keys (Tensor): (K, D), the same dtype, K >= 2.
        own (Tensor): Row of ``keys`` that each anchor is not compared with (A,), int64.
        weights (Tensor): Weight w of each anchor (A,), no gradient flows to it.
        temperature (float): tau, > 0.
        rows (int, optional): Anchors of a block. Defaults to None: as many as make a block of
            :data:`BLOCK_ELEMENTS`.

    Returns:
        Tensor: Scalar. It can be differentiated once.
    """
    total: Tensor = _SumLogSumExp.apply(anchors, keys, own, weights, temperature, rows or _rows_of_block(keys))
    return total


class _SumLogSumExpWithin(torch.autograd.Function):
    """:class:`_SumLogSumExp` where anchors and keys are the same rows: s_ij = s_ji, so half of the blocks will do.

    With e = exp(s), sums S and weights w, the gradient at z_i is sum_j e_ij (w_i / S_i + w_j / S_j) z_j / tau. It
    needs all sums, so the blocks are computed twice: two products of N x N x D in all, instead of three.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, weights: Tensor, temperature: float, rows: int) -> Tensor:
        count, scaled, transposed = len(z), z / temperature, z.t()
        starts = range(0, count, rows)
        buffer = z.new_empty(min(rows, count), count)

        def exponentials(start: int) -> Tensor:
            # Unit rows: a similarity is at most 1 / tau, whose exponential fits, so no maximum is taken off.
            part = scaled[start : start + rows]
            block = buffer.view(-1)[: len(part) * (count - start)].view(len(part), count - start)
            torch.mm(part, transposed[:, start:], out=block)
            block.exp_().fill_diagonal_(0)
            return block

        sums = z.new_zeros(count)
        for start in starts:
            block = exponentials(start)
            sums[start : start + len(block)] += block.sum(1)
            sums[start + len(block) :] += block[:, len(block) :].sum(0)
        total = (sums.log() * weights).sum()
        ctx.needs = ctx.needs_input_grad[0]
        if not ctx.needs:
            return total
        shares = weights / (sums * temperature)
        gradient = torch.zeros_like(z)
        factors = torch.empty_like(buffer)
        for start in starts:
            # One block holds all: it is still there.
            block = exponentials(start) if len(starts) > 1 else buffer
            end = start + len(block)
            factor = factors.view(-1)[: block.numel()].view_as(block)
            torch.add(shares[start:end, None], shares[None, start:], out=factor)
            block.mul_(factor)
            gradient[start:end].addmm_(block, z[start:])
            gradient[end:].addmm_(block[:, len(block) :].t(), z[start:end])
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        return (ctx.saved_tensors[0] * outer[0] if ctx.needs else None, None, None, None)


#: Below it the exponentials of :func:`sum_logsumexp_within` could leave float32's range.
LEAST_TEMPERATURE = 0.025


def sum_logsumexp_within(z: Tensor, weights: Tensor, temperature: float, rows: int | None = None) -> Tensor:
    r"""Half of :func:`sum_logsumexp`'s work, where anchors and keys are the same rows.

    .. math::
        \sum_i w_i \log \sum_{j \ne i} \exp(z_i \cdot z_j / \tau)

    Args:
        z (Tensor): L2-normalised rows (N, D), float32 or float64, N >= 2.
        weights (Tensor): Weight w of each row (N,), no gradient flows to it.
        temperature (float): tau, at least :data:`LEAST_TEMPERATURE`.
        rows (int, optional): Rows of a block. Defaults to None: as many as make a block of :data:`BLOCK_ELEMENTS`.

    Returns:
        Tensor: Scalar. It can be differentiated once.
    """
    total: Tensor = _SumLogSumExpWithin.apply(z, weights, temperature, rows or _rows_of_block(z))
    return total


def _rows_of_block(keys: Tensor) -> int:
    elements = BLOCK_ELEMENTS.get(keys.device.type, BLOCK_ELEMENTS['cuda'])
    return max(elements // len(keys), 16)
