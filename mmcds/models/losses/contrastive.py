"""SupCon and NT-Xent as one function of embeddings and their groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmcds.registry import MODELS
from mmcds.utils.dist import gather_counts, gather_rows, get_rank, get_world_size
from mmcds.utils.errors import check_range, unknown_name

from ..outputs import connected_zero
from .comparison import Comparison, compare, loss_of

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
        return connected_zero(anchors, keys), anchors.new_zeros(())
    who = compare(anchor_groups, key_groups, own, temperature, anchors.dtype)
    return loss_of(anchors, keys, who, temperature), who.count


@dataclass
class Shared:
    """What the losses of several taps on the same instances have in common (:meth:`ContrastiveLoss.share`).

    Attributes:
        keys (Sequence[Tensor]): Per tap, what its anchors are compared with, apart from its queue (K, D).
        groups (Tensor): Group of each key (K,), int64.
        own (Tensor): Row in the keys of each anchor of this rank (A,), int64.
        rows (Tensor | None): Which embeddings are anchors (A,), int64; None for all.
        who (Comparison | None): Of taps without a queue. Defaults to None: the first of them finds out.
        count (Tensor | None): What their sums are divided by. Defaults to None: the same.
    """

    keys: Sequence[Tensor]
    groups: Tensor
    own: Tensor
    rows: Tensor | None
    who: Comparison | None = None
    count: Tensor | None = None


def _anchors_among(keys: Sequence[Tensor], groups: Tensor, own: Tensor, is_anchor: Tensor) -> Shared:
    # One device sync: are all rows anchors, as they are without background?
    rows = None if bool(is_anchor.all()) else is_anchor.nonzero().flatten()
    return Shared(keys, groups, own if rows is None else own[rows], rows)


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
        """Group id per row; rows with equal ids are positives.

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
        shared: Shared | None = None,
        tap: int = 0,
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
            shared (Shared, optional): From :meth:`share`, where several taps see the same instances: what depends on
                the instances alone is then computed, and all taps gathered, once. Defaults to None.
            tap (int): Whose of the taps' embeddings in ``shared`` these are. Defaults to 0.

        Returns:
            Tensor: Scalar, >= 0, connected to ``embeddings``; 0 where no anchor has a positive.
        """
        if shared is None:
            keys, groups, own = self.compared(embeddings, labels, ids, is_anchor, queue)
            shared = _anchors_among([keys], groups, own, is_anchor)
        else:
            keys, groups = self._with_queue(shared.keys[tap], shared.groups, queue)
        anchors = embeddings if shared.rows is None else embeddings[shared.rows]
        if len(anchors) == 0 or len(keys) < 2:
            total, count = connected_zero(anchors, keys), anchors.new_zeros(())
        else:
            who = shared.who
            # A queue holds other labels at each tap.
            if who is None or queue is not None:
                who = compare(shared.groups[shared.own], groups, shared.own, self.temperature, anchors.dtype)
            total, count = loss_of(anchors, keys, who, self.temperature), who.count
            shared.who = who if queue is None else shared.who
        if queue is None and shared.count is not None:
            return total / shared.count
        ranks = get_world_size() if self.gather else 1
        if ranks > 1:
            count = count.clone()
            torch.distributed.all_reduce(count)
            count = count / ranks
        count = count.clamp(min=1 / ranks)
        shared.count = count if queue is None else shared.count
        return total / count

    def share(self, embeddings: Sequence[Tensor], labels: Tensor, ids: Tensor, is_anchor: Tensor) -> Shared:
        """What the losses of several taps on the same instances have in common. A collective, where the loss is one.

        On a GPU the contrast costs what its kernels cost to launch, and over ranks what its collectives wait.

        Args:
            embeddings (Sequence[Tensor]): Per tap, (R, D).
            labels, ids, is_anchor: As for :meth:`forward`, of all taps.
        """
        return _anchors_among(*self._gathered(embeddings, labels, ids, is_anchor), is_anchor)

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
        (keys,), groups, own = self._gathered([embeddings], labels, ids, is_anchor)
        return (*self._with_queue(keys, groups, queue), own)

    def _gathered(
        self, embeddings: Sequence[Tensor], labels: Tensor, ids: Tensor, is_anchor: Tensor
    ) -> tuple[Sequence[Tensor], Tensor, Tensor]:
        """Keys of each tap and the groups of all ranks, and the places of this rank's rows among them."""
        counts = [len(labels)]
        if self.gather and get_world_size() > 1:
            counts = gather_counts(len(labels), labels.device)
        rank = get_rank() if len(counts) > 1 else 0
        groups = gather_rows(torch.where(is_anchor, self.groups(labels, ids + rank * 2**32), NO_GROUP), counts)
        if len(counts) > 1:
            widths = [each.shape[1] for each in embeddings]
            embeddings = gather_rows(torch.cat(list(embeddings), dim=1), counts).split(widths, dim=1)
        own = torch.arange(len(labels), device=labels.device) + sum(counts[:rank])
        return embeddings, groups, own

    def _with_queue(self, keys: Tensor, groups: Tensor, queue: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        if queue is None:
            return keys, groups
        queued, queued_labels = queue
        # A queued instance is never seen again: only its class can make it a positive.
        known = queued_labels if self.positives == 'class' else torch.full_like(queued_labels, NO_GROUP)
        return torch.cat([keys, queued.to(keys.dtype)]), torch.cat([groups, known])
