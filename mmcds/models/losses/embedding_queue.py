"""Embeddings of earlier iterations, kept as further keys for small batches."""

import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size
from torch import Tensor, nn

from mmcds.utils.dist import gather_counts, gather_rows


class EmbeddingQueue(nn.Module):
    """First-in, first-out queue of embeddings and their labels.

    It lives in buffers, so the checkpoint restores it on resume. It starts empty: :meth:`get` returns only rows that
    were put in. Every rank queues the embeddings of all ranks. The queues stay equal, so the checkpoint, which one
    rank writes, is right for all.

    Args:
        length (int): Embeddings kept, >= 1.
        dim (int): Width D of an embedding, >= 1.
    """

    embeddings: Tensor
    labels: Tensor
    cursor: Tensor

    def __init__(self, length: int, dim: int) -> None:
        super().__init__()
        self.register_buffer('embeddings', torch.zeros(length, dim))
        self.register_buffer('labels', torch.full((length,), -1, dtype=torch.long))
        # Number of rows ever put in: the next row is cursor % length, min(cursor, length) rows are filled.
        self.register_buffer('cursor', torch.zeros((), dtype=torch.long))

    def get(self) -> tuple[Tensor, Tensor]:
        """The rows that the queue holds, in no particular order.

        Returns:
            tuple[Tensor, Tensor]: Embeddings (Q, D) and labels (Q,), Q <= length, without gradient.
        """
        filled = min(int(self.cursor), len(self.labels))
        return self.embeddings[:filled].clone(), self.labels[:filled].clone()

    @torch.no_grad()
    def put(self, embeddings: Tensor, labels: Tensor) -> None:
        """Add rows, which replace the oldest. A collective: every rank must call it.

        Rows that are not finite, as those of a step that a GradScaler skips, are left out: they would make the losses
        of all later steps NaN.

        Args:
            embeddings (Tensor): (M, D), any floating dtype, M may be 0.
            labels (Tensor): (M,) int64, -1 where there is no label.
        """
        embeddings = embeddings.detach()
        if get_world_size() > 1:
            counts = gather_counts(len(embeddings), embeddings.device)
            embeddings, labels = gather_rows(embeddings, counts), gather_rows(labels, counts)
        # After the gather, so that the queues of all ranks stay equal.
        finite = embeddings.isfinite().all(1)
        embeddings, labels = embeddings[finite], labels[finite]
        length, start = len(self.labels), int(self.cursor)
        # If more rows come than fit, keep the last ones, which are the newest.
        skip = max(len(embeddings) - length, 0)
        rows = F.normalize(embeddings[skip:].to(self.embeddings.dtype), dim=1)
        place = (torch.arange(len(rows), device=rows.device) + start + skip) % length
        self.embeddings[place] = rows
        self.labels[place] = labels[skip:]
        self.cursor += len(embeddings)
