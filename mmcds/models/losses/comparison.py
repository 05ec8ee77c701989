"""Who is compared with whom, and the loss that comes of it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .blockwise import LEAST_TEMPERATURE, sum_logsumexp, sum_logsumexp_within


@dataclass
class Comparison:
    """Who is compared with whom, which depends on groups alone and so, without a queue, is the same for all taps.

    Attributes:
        groups (int): Number of groups G.
        anchor_slot (Tensor): Group of each anchor (A,), int64, in [0, G).
        key_slot (Tensor): Group of each key (K,), int64, in [0, G).
        own (Tensor): Row in the keys of the anchor itself (A,), int64.
        has_positive (Tensor): 1 for an anchor with a positive, 0 for others (A,).
        share (Tensor): 1 / (tau |P(i)|) of each anchor, 0 where it has no positive (A,).
        count (Tensor): Anchors with a positive, scalar.
    """

    groups: int
    anchor_slot: Tensor
    key_slot: Tensor
    own: Tensor
    has_positive: Tensor
    share: Tensor
    count: Tensor


def compare(
    anchor_groups: Tensor, key_groups: Tensor, own: Tensor, temperature: float, dtype: torch.dtype
) -> Comparison:
    """Find out who is compared with whom.

    Args:
        anchor_groups (Tensor): Group of each anchor (A,), int64, >= 0.
        key_groups (Tensor): Group of each key (K,), int64; one that no anchor has is nobody's positive.
        own (Tensor): Row in the keys of the anchor itself (A,), int64.
        temperature (float): tau, > 0.
        dtype (torch.dtype): Of the embeddings, float32 or float64.
    """
    groups, inverse = torch.unique(torch.cat([anchor_groups, key_groups]), return_inverse=True)
    anchor_slot, key_slot = inverse.split([len(anchor_groups), len(key_groups)])
    ones = torch.ones(len(key_slot), dtype=dtype, device=key_slot.device)
    size = ones.new_zeros(len(groups)).index_add(0, key_slot, ones)
    positives = size[anchor_slot] - 1
    has_positive = (positives > 0).to(dtype)
    share = has_positive / (positives.clamp(min=1) * temperature)
    return Comparison(len(groups), anchor_slot, key_slot, own, has_positive, share, has_positive.sum())


def loss_of(anchors: Tensor, keys: Tensor, who: Comparison, temperature: float) -> Tensor:
    """The sum of the contrastive losses of all anchors (:func:`.contrastive.contrastive_loss`), a scalar.

    Args:
        anchors (Tensor): L2-normalised embeddings (A, D), A >= 1.
        keys (Tensor): L2-normalised embeddings (K, D), K >= 2; the same tensor where all keys are anchors, in order.
        who (Comparison): From :func:`compare`.
        temperature (float): tau, > 0.
    """
    group_sum = keys.new_zeros(who.groups, keys.shape[1]).index_add(0, who.key_slot, keys)
    within = anchors is keys
    others = group_sum[who.anchor_slot] - (keys if within else keys[who.own])
    if within and temperature >= LEAST_TEMPERATURE:
        normaliser = sum_logsumexp_within(keys, who.has_positive, temperature)
    else:
        normaliser = sum_logsumexp(anchors, keys, who.own, who.has_positive, temperature)
    return normaliser - ((anchors * others).sum(1) * who.share).sum()
