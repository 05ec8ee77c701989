"""SupCon and NT-Xent as one function of embeddings and their groups."""

import torch
from mmengine.dist import get_rank, get_world_size
from torch import Tensor

from mmcds.registry import MODELS
from mmcds.utils.blockwise import compare, contrastive_sums
from mmcds.utils.dist import gather_counts, gather_rows
from mmcds.utils.errors import check_count, check_flag, check_range, unknown_name
from mmcds.utils.tree import connected_zero

from ..parts import Loss

#: Group of a key that is no anchor's positive: background, or a queued embedding without a label.
NO_GROUP = -1


def contrastive_loss(
    anchors: Tensor,
    anchor_groups: Tensor,
    keys: Tensor,
    key_groups: Tensor,
    own: Tensor,
    temperature: float = 0.07,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Sum of the contrastive losses of all anchors, and how many anchors had a positive.

    .. math::
        \sum_i -\frac{1}{\sum_{p \in P(i)} w_p} \sum_{p \in P(i)}
        w_p \log \frac{\exp(z_i \cdot k_p / \tau)}{\sum_{j \ne i} \exp(z_i \cdot k_j / \tau)}

    where P(i) are the keys of the anchor's group other than itself. With class labels as groups
    it is :math:`L^{sup}_{out}` of SupCon (Khosla et al. 2020, eq. 2), with the instance as group it
    is NT-Xent (SimCLR; the poster's L_contra of CDS). The similarity to all positives needs no
    mask of all pairs, since it is :math:`z_i \cdot (\sum_{group} k - k_i)`, and the denominator is summed
    block by block (:mod:`mmcds.utils.blockwise`). An anchor without a positive adds nothing.

    Args:
        anchors (Tensor): L2-normalised embeddings (A, D), floating.
        anchor_groups (Tensor): Group of each anchor (A,), int64, >= 0.
        keys (Tensor): L2-normalised embeddings (K, D) that the anchors are compared with. If all of them are
            anchors, in this order, pass the same tensor for both, which is cheaper.
        key_groups (Tensor): Group of each key (K,), int64; :data:`NO_GROUP` is no anchor's positive.
        own (Tensor): Row of each anchor in ``keys`` (A,), int64.
        temperature (float): tau, > 0. Defaults to 0.07.
        weights (Tensor, optional): Weight w of each key as a positive (K,), > 0. Defaults to None: 1.

    Returns:
        tuple[Tensor, Tensor]: The sum (scalar, connected to the graph, 0 if there is nothing to
        compare) and the number of anchors in it (scalar, the dtype of ``anchors``).
    """
    if anchors.shape[0] == 0 or keys.shape[0] < 2:
        return connected_zero(anchors, keys), anchors.new_zeros(())
    comparison = compare(anchor_groups, key_groups, own, temperature, anchors.dtype, weights)
    taps = anchors[None]
    total = contrastive_sums(taps, taps if anchors is keys else keys[None], comparison, temperature)[0]
    return total, comparison.count


@MODELS.register_module()
class ContrastiveLoss(Loss):
    """Contrastive loss over both views, all ranks and, if there is one, a queue.

    It takes the embeddings of several taps at once (``joins_taps``).

    Args:
        temperature (float): tau, > 0. Defaults to 0.07, the released code's.
        positives (str): ``'class'``: embeddings with the same label in either view, and an
            unlabelled one only with its own other view (SupCon). ``'instance'``: only the same
            instance or image in the other view (NT-Xent). Defaults to 'class'.
        gather (bool): Whether to compare with the embeddings of all ranks, too. The released code
            does not. Defaults to True.
        min_anchors (int): The sum over the anchors of all ranks is divided by their number, and by no less than
            this, so that a batch with few objects weighs less than one with many; >= 1. Defaults to 1: the mean.

    Raises:
        ValueError: If ``temperature`` or ``min_anchors`` is out of range, ``positives`` is unknown or ``gather`` is
            no boolean.

    Example:
        >>> loss = dict(type='ContrastiveLoss', temperature=0.07, positives='class')
    """

    joins_taps = True

    def __init__(
        self, temperature: float = 0.07, positives: str = 'class', gather: bool = True, min_anchors: int = 1
    ) -> None:
        super().__init__()
        self.temperature = check_range('loss.temperature', temperature, 0, open_low=True)
        if positives not in ('class', 'instance'):
            raise unknown_name('loss.positives', positives, ('class', 'instance'))
        self.positives = positives
        self.gather = check_flag('loss.gather', gather)
        self.min_anchors = check_count('loss.min_anchors', min_anchors, 1)

    def groups(self, labels: Tensor, ids: Tensor) -> Tensor:
        """Group id per row; rows with equal ids are positives.

        Args:
            labels (Tensor): (M,) int64, -1 where there is no label.
            ids (Tensor): (M,) int64, >= 0, the same in both views, unique among all ranks.

        Returns:
            Tensor: (M,) int64, >= 0.
        """
        if self.positives == 'instance':
            return ids
        # Labels are small and ids are shifted far above them, so the two never collide.
        return torch.where(labels >= 0, labels, ids + 2**40)

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ids: Tensor,
        is_anchor: Tensor,
        queue: tuple[Tensor, Tensor] | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """The mean loss over the anchors of all ranks.

        Each rank returns the share of its own anchors times the number of ranks, since DDP averages
        gradients: the average over ranks is the loss, and has the gradient, of one process that
        holds all embeddings.

        Args:
            embeddings (Tensor): L2-normalised rows (R, D), of both views or of one, float32 or float64; or those of
                T taps on the same instances (T, R, D), whose losses share kernels and collectives.
            labels (Tensor): (R,) int64, -1 where there is no label.
            ids (Tensor): (R,) int64, >= 0: rows of one instance share it, unique on this rank.
            is_anchor (Tensor): (R,) bool. The others (background) are negatives only.
            queue (tuple[Tensor, Tensor], optional): Embeddings (Q, D), or (T, Q, D), and labels (Q,) of earlier
                iterations: keys, never anchors. Defaults to None.
            weights (Tensor, optional): Weight of each row as a positive of others (R,), > 0. Defaults to None: 1.

        Returns:
            Tensor: Scalar, or (T,), >= 0, connected to ``embeddings``; 0 where no anchor has a positive.
        """
        taps = embeddings if embeddings.dim() == 3 else embeddings[None]
        if queue is not None:
            queue = queue[0].view(len(taps), len(queue[1]), taps.shape[2]), queue[1]
        keys, groups, own = self.compared(taps, labels, ids, is_anchor, queue)
        if weights is not None:
            weights = self._weights_of_keys(weights, keys.shape[1])
        anchors = taps
        # One device sync: are all rows anchors, as they are without background?
        if not bool(is_anchor.all()):
            rows = is_anchor.nonzero().flatten()
            anchors, own = taps[:, rows], own[rows]
        if anchors.shape[1] == 0 or keys.shape[1] < 2:
            total, count = connected_zero(anchors, keys).expand(len(taps)), anchors.new_zeros(())
        else:
            anchor_groups = groups if anchors is keys else groups[own]
            comparison = compare(anchor_groups, groups, own, self.temperature, anchors.dtype, weights)
            total, count = contrastive_sums(anchors, keys, comparison, self.temperature), comparison.count
        ranks = get_world_size() if self.gather else 1
        if ranks > 1:
            count = count.clone()
            torch.distributed.all_reduce(count)
            count = count / ranks
        total = total / count.clamp(min=self.min_anchors / ranks)
        return total if embeddings.dim() == 3 else total[0]

    def compared(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ids: Tensor,
        is_anchor: Tensor,
        queue: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Keys that the anchors are compared with, and their groups. A collective if ``gather``.

        Args:
            embeddings, labels, ids, is_anchor, queue: As for :meth:`forward`.

        Returns:
            tuple[Tensor, Tensor, Tensor]: Keys (K, D), or (T, K, D), those of all ranks and of the queue; the group
            of each key (K,), int64, :data:`NO_GROUP` if it is no anchor's positive; and the row in the keys of each
            of this rank's embeddings (R,), int64.
        """
        counts = [len(labels)]
        if self.gather and get_world_size() > 1:
            counts = gather_counts(len(labels), labels.device)
        own = torch.arange(len(labels), device=labels.device)
        if len(counts) > 1:
            rank = get_rank()
            ids, own = ids + rank * 2**32, own + sum(counts[:rank])
            embeddings = gather_rows(embeddings.transpose(0, -2), counts).transpose(0, -2)
        groups = gather_rows(torch.where(is_anchor, self.groups(labels, ids), NO_GROUP), counts)
        if queue is None:
            return embeddings, groups, own
        queued, queued_labels = queue
        # A queued instance is never seen again: only its class can make it a positive.
        queued_groups = queued_labels if self.positives == 'class' else torch.full_like(queued_labels, NO_GROUP)
        return torch.cat([embeddings, queued.to(embeddings.dtype)], -2), torch.cat([groups, queued_groups]), own

    def _weights_of_keys(self, weights: Tensor, count: int) -> Tensor:
        """Weight of each of ``count`` keys as a positive, 1 for those of the queue. A collective."""
        if self.gather and get_world_size() > 1:
            weights = gather_rows(weights, gather_counts(len(weights), weights.device))
        return torch.cat([weights, weights.new_ones(count - len(weights))])
