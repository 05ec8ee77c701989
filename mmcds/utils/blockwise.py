"""The contrastive sums of several taps and their gradients, in blocks: large batches need no matrix of all pairs."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: Number of similarities in a block. A block of this size stays in a CPU's cache and fills a GPU.
BLOCK_ELEMENTS = {'cpu': 2**20, 'cuda': 2**25}
#: Below it the exponentials of similarities could overflow float32, so the maximum of a row is subtracted.
LEAST_TEMPERATURE = 0.025


@dataclass
class Comparison:
    """The positives of each anchor. They depend on the groups only, so they are the same for all taps.

    Attributes:
        groups (int): Number of groups G.
        anchor_slot (Tensor): Group of each anchor (A,), int64, in [0, G).
        key_slot (Tensor): Group of each key (K,), int64, in [0, G).
        own (Tensor): Row of each anchor in the keys (A,), int64.
        has_positive (Tensor): 1 for an anchor with a positive, 0 for others (A,).
        share (Tensor): 1 / (tau W(i)) of each anchor, W(i) the sum of its positives' weights; 0 without a positive
            (A,).
        count (Tensor): Number of anchors with a positive, scalar.
        weights (Tensor | None): Weight of each key as a positive (K,). Defaults to None: 1.
    """

    groups: int
    anchor_slot: Tensor
    key_slot: Tensor
    own: Tensor
    has_positive: Tensor
    share: Tensor
    count: Tensor
    weights: Tensor | None = None


def compare(
    anchor_groups: Tensor,
    key_groups: Tensor,
    own: Tensor,
    temperature: float,
    dtype: torch.dtype,
    weights: Tensor | None = None,
) -> Comparison:
    """Find the positives of each anchor.

    Args:
        anchor_groups (Tensor): Group of each anchor (A,), int64, >= 0.
        key_groups (Tensor): Group of each key (K,), int64; keys of a group without anchors are no positives. Pass
            the same tensor if all keys are anchors, in order.
        own (Tensor): Row of each anchor in the keys (A,), int64.
        temperature (float): tau, > 0.
        dtype (torch.dtype): Of the embeddings, float32 or float64.
        weights (Tensor, optional): Weight of each key as a positive (K,), > 0. Defaults to None: 1.
    """
    if anchor_groups is key_groups:
        groups, key_slot = torch.unique(key_groups, return_inverse=True)
        anchor_slot = key_slot
    else:
        groups, inverse = torch.unique(torch.cat([anchor_groups, key_groups]), return_inverse=True)
        anchor_slot, key_slot = inverse.split([len(anchor_groups), len(key_groups)])
    ones = torch.ones(len(key_slot), dtype=dtype, device=key_slot.device)
    size = ones.new_zeros(len(groups)).index_add_(0, key_slot, ones)
    positives = size[anchor_slot] - 1
    has_positive = (positives > 0).to(dtype)
    if weights is None:
        weight = positives.clamp(min=1)
    else:
        weights = weights.to(dtype)
        size = size.zero_().index_add_(0, key_slot, weights)
        weight = torch.where(positives > 0, size[anchor_slot] - weights[own], 1)
    share = has_positive / (weight * temperature)
    return Comparison(len(groups), anchor_slot, key_slot, own, has_positive, share, has_positive.sum(), weights)


def contrastive_sums(
    anchors: Tensor, keys: Tensor, comparison: Comparison, temperature: float, rows: int | None = None
) -> Tensor:
    r"""The sum of the contrastive losses of all anchors, for each tap.

    .. math::
        \sum_i h_i \log \sum_{j \ne own_i} \exp(a_i \cdot k_j / \tau)
        - \frac{h_i}{\tau W_i} \sum_{p \in P(i)} w_p \, a_i \cdot k_p

    The second term needs no mask of all pairs: the sum over the positives of :math:`a_i` is that of its group less
    its own key. Both gradients are computed with the value, block by block, so that nothing of size A x K is stored.
    Small batches are one block for all taps, since on a GPU the time depends on the number of kernels.

    Args:
        anchors (Tensor): L2-normalised embeddings of T taps (T, A, D), float32 or float64, A >= 1.
        keys (Tensor): L2-normalised embeddings (T, K, D), K >= 2; the same tensor if all keys are anchors, in
            order, which is cheaper.
        comparison (Comparison): From :func:`compare`.
        temperature (float): tau, > 0.
        rows (int, optional): Anchors per block. Defaults to None: as many as :data:`BLOCK_ELEMENTS` allows.

    Returns:
        Tensor: (T,). It can be differentiated once.
    """
    total: Tensor = _ContrastiveSums.apply(None if anchors is keys else anchors, keys, comparison, temperature, rows)
    return total


class _ContrastiveSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, given: Tensor | None, keys: Tensor, comparison: Comparison, temperature: float, rows: int | None
    ) -> Tensor:
        anchors = keys if given is None else given
        needs_anchors = ctx.needs_input_grad[0]
        needs_keys = ctx.needs_input_grad[1]
        total, grad_anchors, grad_keys = _positives(anchors, keys, comparison, within=given is None)
        pairs = anchors.shape[1] * keys.shape[1]
        elements = BLOCK_ELEMENTS.get(keys.device.type, BLOCK_ELEMENTS['cuda'])
        # All taps in one block, or tap by tap in as many blocks as needed.
        step = len(keys) if rows is None and len(keys) * pairs <= elements else 1
        rows = rows or max(elements // keys.shape[1], 16)
        for start in range(0, len(keys), step):
            taps = slice(start, start + step)
            if given is None and temperature >= LEAST_TEMPERATURE:
                parts = keys[taps], grad_keys[taps] if needs_keys else None
                total[taps] += _normalisers_within(*parts, comparison.has_positive, temperature, rows)
            else:
                into_anchors = grad_keys if given is None else grad_anchors
                learns = needs_keys if given is None else needs_anchors
                total[taps] += _normalisers(
                    anchors[taps],
                    keys[taps],
                    into_anchors[taps] if learns else None,
                    grad_keys[taps] if needs_keys else None,
                    comparison,
                    temperature,
                    rows,
                )
        ctx.needs = (needs_anchors, needs_keys)
        gradients = (grad_anchors if needs_anchors else None, grad_keys if needs_keys else None)
        ctx.save_for_backward(*(gradient for gradient in gradients if gradient is not None))
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        saved, scale = iter(ctx.saved_tensors), outer[0][:, None, None]
        return (*(next(saved) * scale if needed else None for needed in ctx.needs), None, None, None)


def _positives(anchors: Tensor, keys: Tensor, comparison: Comparison, within: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The second term of the sum (T,), and its gradients for anchors and keys; if ``within``, the last has both."""
    weights = None if comparison.weights is None else comparison.weights[:, None]
    weighted = keys if weights is None else keys * weights
    shape = len(keys), comparison.groups, keys.shape[2]
    sums = keys.new_zeros(shape).index_add_(1, comparison.key_slot, weighted)
    own = weighted if within else weighted.index_select(1, comparison.own)
    attracted = (sums.index_select(1, comparison.anchor_slot) - own).mul_(comparison.share[:, None])
    total = (anchors * attracted).sum((1, 2)).neg_()
    pull = anchors * comparison.share[:, None]
    pulled = keys.new_zeros(shape).index_add_(1, comparison.anchor_slot, pull)
    pulled = pulled.index_select(1, comparison.key_slot).neg_()
    # An anchor is not its own positive.
    pulled = pulled.add_(pull) if within else pulled.index_add_(1, comparison.own, pull)
    if weights is not None:
        pulled *= weights
    if within:
        return total, attracted, pulled.sub_(attracted)
    return total, attracted.neg_(), pulled


def _normalisers(
    anchors: Tensor,
    keys: Tensor,
    grad_anchors: Tensor | None,
    grad_keys: Tensor | None,
    comparison: Comparison,
    temperature: float,
    rows: int,
) -> Tensor:
    """The first term of the sum (t,). Its gradients are added to ``grad_anchors`` and ``grad_keys`` in place."""
    total = anchors.new_zeros(len(anchors))
    for start in range(0, anchors.shape[1], rows):
        part = anchors[:, start : start + rows] / temperature
        weight = comparison.has_positive[start : start + rows, None]
        own = comparison.own[start : start + rows, None].expand(len(part), -1, 1)
        similarity = torch.bmm(part, keys.transpose(1, 2)).scatter_(2, own, float('-inf'))
        highest = similarity.amax(2, keepdim=True)
        exponentials = similarity.sub_(highest).exp_()
        sums = exponentials.sum(2, keepdim=True)
        total += ((sums.log() + highest) * weight).sum((1, 2))
        # The row's softmax, times its weight over tau.
        scale = weight / (sums * temperature)
        if grad_anchors is not None:
            grad_anchors[:, start : start + rows] += torch.bmm(exponentials, keys) * scale
        if grad_keys is not None:
            # ``part`` is divided by the temperature already.
            grad_keys.baddbmm_(exponentials.transpose(1, 2), part * (scale * temperature))
    return total


def _normalisers_within(
    keys: Tensor, gradient: Tensor | None, weights: Tensor, temperature: float, rows: int
) -> Tensor:
    """:func:`_normalisers` where anchors and keys are the same rows: s_ij = s_ji, so half of the blocks are enough.

    With e = exp(s), sums S and weights w, the gradient at z_i is sum_j e_ij (w_i / S_i + w_j / S_j) z_j / tau. It
    needs all sums, so several blocks are computed twice: two products of N x N x D in all, instead of three.
    """
    taps, count = keys.shape[:2]
    scaled, transposed = keys / temperature, keys.transpose(1, 2)
    starts = range(0, count, rows)
    buffer = keys.new_empty(taps * min(rows, count) * count)

    def exponentials(start: int) -> Tensor:
        # Rows have unit length: a similarity is at most 1 / tau, whose exponential fits, so no maximum is subtracted.
        part, others = scaled[:, start : start + rows], transposed[:, :, start:]
        block = buffer[: taps * part.shape[1] * others.shape[2]].view(taps, part.shape[1], others.shape[2])
        torch.bmm(part, others, out=block).exp_()
        block.diagonal(dim1=1, dim2=2).zero_()
        return block

    if len(starts) == 1:
        block = exponentials(0)
        sums = block.sum(2)
    else:
        sums = keys.new_zeros(taps, count)
        for start in starts:
            block = exponentials(start)
            end = start + block.shape[1]
            sums[:, start:end] += block.sum(2)
            sums[:, end:] += block[:, :, block.shape[1] :].sum(1)
    total = (sums.log() * weights).sum(1)
    if gradient is None:
        return total
    shares = weights / (sums * temperature)
    if len(starts) == 1:
        block.mul_(shares[:, :, None] + shares[:, None])
        gradient.baddbmm_(block, keys)
        return total
    factors = torch.empty_like(buffer)
    for start in starts:
        block = exponentials(start)
        end = start + block.shape[1]
        factor = factors[: block.numel()].view_as(block)
        torch.add(shares[:, start:end, None], shares[:, None, start:], out=factor)
        block.mul_(factor)
        gradient[:, start:end].baddbmm_(block, keys[:, start:])
        gradient[:, end:].baddbmm_(block[:, :, block.shape[1] :].transpose(1, 2), keys[:, start:end])
    return total
