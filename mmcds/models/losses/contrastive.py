"""SupCon and NT-Xent as one function of embeddings and their groups."""

import torch
from torch import Tensor, nn

from mmcds.registry import MODELS
from mmcds.utils.dist import gather_counts, gather_rows, get_rank, get_world_size
from mmcds.utils.errors import check_range, unknown_name

from .blockwise import LEAST_TEMPERATURE, sum_logsumexp, sum_logsumexp_within

#: Group of a key that is nobody's positive: background, or a queued embedding without a label.
NO_GROUP = -1


def contrastive_loss(
    anchors: Tensor,
    anchor_groups: Tensor,
    keys: Tensor,
    key_groups: Tensor,
    own: Tensor,
    temperature: float = 0.07,
) -> tuple[Tensor, Tensor]:
    r"""Sum of the contrastive losses of all anchors, and how many anchors had a positive.

    .. math::
        \sum_i -\frac{1}{|P(i)|} \sum_{p \in P(i)}
        \log \frac{\exp(z_i \cdot k_p / \tau)}{\sum_{j \ne i} \exp(z_i \cdot k_j / \tau)}

    where P(i) are the keys of the anchor's group other than itself. With class labels as groups
    it is :math:`L^{sup}_{out}` of SupCon (Khosla et al. 2020, eq. 2), with the instance as group it
    is NT-Xent (SimCLR; the poster's L_contra of CDS). The similarity to all positives needs no
    mask of all pairs, since it is :math:`z_i \cdot (\sum_{group} k - k_i)`, and the denominator is summed
    block by block (:mod:`.blockwise`). An anchor without a positive adds nothing.

    Args:
        anchors (Tensor): L2-normalised embeddings (A, D), floating.
        anchor_groups (Tensor): Group of each anchor (A,), int64, >= 0.
        keys (Tensor): L2-normalised embeddings (K, D) that the anchors are compared with. Where all of them are
            anchors, in this order, give the same tensor as both: that is cheaper.
        key_groups (Tensor): Group of each key (K,), int64; :data:`NO_GROUP` is no anchor's positive.
        own (Tensor): Row in ``keys`` of the anchor itself (A,), int64.
        temperature (float): tau, > 0. Defaults to 0.07.

    Returns:
        tuple[Tensor, Tensor]: The sum (scalar, connected to the graph, 0 if there is nothing to
        compare) and the number of anchors in it (scalar, the dtype of ``anchors``).
    """
    if anchors.shape[0] == 0 or keys.shape[0] < 2:
        return anchors.sum() * 0 + keys.sum() * 0, anchors.new_zeros(())
    groups, inverse = torch.unique(torch.cat([anchor_groups, key_groups]), return_inverse=True)
    anchor_slot, key_slot = inverse.split([len(anchor_groups), len(key_groups)])
    group_sum = keys.new_zeros(len(groups), keys.shape[1]).index_add(0, key_slot, keys)
    group_size = keys.new_zeros(len(groups)).index_add(0, key_slot, keys.new_ones(len(keys)))

    positives = group_size[anchor_slot] - 1
    positive_sum = (anchors * (group_sum[anchor_slot] - keys[own])).sum(1) / temperature
    has_positive = (positives > 0).to(anchors.dtype)
    if anchors is keys and temperature >= LEAST_TEMPERATURE:
        normaliser = sum_logsumexp_within(keys, has_positive, temperature)
    else:
        normaliser = sum_logsumexp(anchors, keys, own, has_positive, temperature)
    total = normaliser - (positive_sum / positives.clamp(min=1) * has_positive).sum()
    return total, has_positive.sum()


@MODELS.register_module()
class ContrastiveLoss(nn.Module):
    """Contrastive loss over both views, all ranks and, where there is one, a queue.

    Args:
        temperature (float): tau, > 0. Defaults to 0.07, the released code's.
        positives (str): ``'class'``: embeddings with the same label in either view, and an
            unlabelled one only with its own other view (SupCon). ``'instance'``: only the same
            instance or image in the other view (NT-Xent). Defaults to 'class'.
        gather (bool): Whether to compare with the embeddings of all ranks, too. The released code
            does not. Defaults to True.

    Raises:
        ValueError: If ``temperature`` is not positive or ``positives`` is unknown.

    Example:
        >>> loss = dict(type='ContrastiveLoss', temperature=0.07, positives='class')
    """

    def __init__(self, temperature: float = 0.07, positives: str = 'class', gather: bool = True) -> None:
        super().__init__()
        self.temperature = check_range('loss.temperature', temperature, 0, open_low=True)
        if positives not in ('class', 'instance'):
            raise unknown_name('loss.positives', positives, ('class', 'instance'))
        self.positives = positives
        self.gather = gather

    def groups(self, labels: Tensor, ids: Tensor) -> Tensor:
        """Who is whose positive: equal groups are.

        Args:
            labels (Tensor): (M,) int64, -1 where there is no label.
            ids (Tensor): (M,) int64, >= 0, the same in both views, unique among all ranks.

        Returns:
            Tensor: (M,) int64, >= 0.
        """
        if self.positives == 'instance':
            return ids
        # Labels are small and ids are shifted far above them, so the two never meet.
        return torch.where(labels >= 0, labels, ids + 2**40)

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ids: Tensor,
        is_anchor: Tensor,
        queue: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """The mean loss over the anchors of all ranks.

        Each rank returns the share of its own anchors times the number of ranks, since DDP averages
        gradients: the average over ranks is the loss, and has the gradient, of one process that
        holds all embeddings.

        Args:
            embeddings (Tensor): L2-normalised rows of both views (R, D), float32 or float64.
            labels (Tensor): (R,) int64, -1 where there is no label.
            ids (Tensor): (R,) int64, >= 0: rows of one instance share it, unique on this rank.
            is_anchor (Tensor): (R,) bool. The others (background) are negatives only.
            queue (tuple[Tensor, Tensor], optional): Embeddings (Q, D) and labels (Q,) of earlier
                iterations: keys, never anchors. Defaults to None.

        Returns:
            Tensor: Scalar, >= 0, connected to ``embeddings``; 0 where no anchor has a positive.
        """
        keys, groups, own = self.compared(embeddings, labels, ids, is_anchor, queue)
        anchors = keys if keys is embeddings and bool(is_anchor.all()) else embeddings[is_anchor]
        own = own[is_anchor]
        total, count = contrastive_loss(anchors, groups[own], keys, groups, own, self.temperature)
        ranks = get_world_size() if self.gather else 1
        if ranks > 1:
            torch.distributed.all_reduce(count)
            count = count / ranks
        return total / count.clamp(min=1 / ranks)

    def compared(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ids: Tensor,
        is_anchor: Tensor,
        queue: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the anchors are compared with. A collective, where the loss is one.

        Args:
            embeddings, labels, ids, is_anchor, queue: As for :meth:`forward`.

        Returns:
            tuple[Tensor, Tensor, Tensor]: Keys (K, D), those of all ranks and of the queue; the group of each (K,),
            int64, :data:`NO_GROUP` for what is nobody's positive; and the place among them of each of this rank's
            rows (R,), int64.
        """
        counts = [len(embeddings)]
        if self.gather and get_world_size() > 1:
            counts = gather_counts(len(embeddings), embeddings.device)
        rank = get_rank() if len(counts) > 1 else 0
        groups = torch.where(is_anchor, self.groups(labels, ids + rank * 2**32), NO_GROUP)
        keys, key_groups = gather_rows(embeddings, counts), gather_rows(groups, counts)
        if queue is not None:
            queued, queued_labels = queue
            # A queued instance is never seen again: only its class can make it a positive.
            known = queued_labels if self.positives == 'class' else torch.full_like(queued_labels, NO_GROUP)
            keys = torch.cat([keys, queued.to(keys.dtype)])
            key_groups = torch.cat([key_groups, known])
        own = torch.arange(len(embeddings), device=embeddings.device) + sum(counts[:rank])
        return keys, key_groups, own
