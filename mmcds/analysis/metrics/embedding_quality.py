"""Alignment and uniformity of embeddings, the two properties that a contrastive loss optimises."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from mmcds.utils.errors import check_count
from mmcds.utils.extras import need_analysis

#: Rows of a block of distances, so that nothing of the size of all pairs is held.
BLOCK = 1024


def alignment(embeddings: Tensor, labels: Tensor) -> float:
    """Mean squared distance of pairs of one class (Wang and Isola 2020, with alpha = 2).

    Args:
        embeddings (Tensor): (M, D), floating; rows are brought to length 1.
        labels (Tensor): (M,), integers.

    Returns:
        float: In [0, 4], 0 where all rows of a class are one; NaN where no class has two rows.
    """
    rows = torch.nn.functional.normalize(embeddings.double(), dim=1)
    total, pairs = 0.0, 0
    for label in labels.unique():
        mine = rows[labels == label]
        count = len(mine)
        # Sum of ||x - y||^2 over ordered pairs of unit rows: 2 n^2 - 2 ||sum x||^2.
        total += float(2 * count**2 - 2 * mine.sum(0).square().sum())
        pairs += count * (count - 1)
    return max(total, 0.0) / pairs if pairs else float('nan')


def uniformity(embeddings: Tensor) -> float:
    """Logarithm of the mean Gaussian potential of all pairs (Wang and Isola 2020, with t = 2).

    Args:
        embeddings (Tensor): (M, D), floating; rows are brought to length 1.

    Returns:
        float: At most 0, where all rows are one; the lower, the more evenly they lie on the sphere. NaN for fewer
        than two rows.
    """
    rows = torch.nn.functional.normalize(embeddings.double(), dim=1)
    count = len(rows)
    if count < 2:
        return float('nan')
    total = 0.0
    for start in range(0, count, BLOCK):
        potential = (-2 * (2 - 2 * rows[start : start + BLOCK] @ rows.t())).exp()
        # Without the pairs of a row with itself.
        total += float(potential.sum() - potential.diagonal(start).sum())
    return float(np.log(total / (count * (count - 1))))


@dataclass(frozen=True)
class Quality:
    """Separation of a class from the others.

    Attributes:
        rows (int): Rows that were measured.
        knn (float): Accuracy of a vote of the k nearest other rows, in percent.
        alignment (float): See :func:`alignment`.
        uniformity (float): See :func:`uniformity`.
        k (int): Neighbours of the vote.
    """

    rows: int
    knn: float
    alignment: float
    uniformity: float
    k: int

    def numbers(self) -> dict[str, float]:
        """The measures by name."""
        return asdict(self)

    def text(self) -> str:
        """The measures in one line, as the caption of a map."""
        return f'{self.k}-NN {self.knn:.1f} %, alignment {self.alignment:.2f}, uniformity {self.uniformity:.2f}'


def measure(rows: Tensor, labels: Tensor, k: int = 20) -> Quality:
    """Measure rows.

    Args:
        rows (Tensor): (M, D), floating, M >= 2.
        labels (Tensor): (M,), integers.
        k (int): Neighbours, >= 1. Defaults to 20.

    Raises:
        ValueError: If there are fewer than two rows.
    """
    need_analysis('sklearn')
    from sklearn.neighbors import KNeighborsClassifier  # type: ignore[import-untyped]

    if len(rows) < 2:
        raise ValueError(f'{len(rows)} rows have no neighbours; give more (--max-images)')
    # scikit-learn leaves a row itself out of its neighbours where it is asked without rows.
    k = min(check_count('neighbours', k, 1), len(rows) - 1)
    voters = KNeighborsClassifier(k, metric='cosine', algorithm='brute').fit(rows.numpy(), labels.numpy())
    nearest = torch.from_numpy(labels.numpy()[voters.kneighbors(return_distance=False)])
    right = nearest.mode(1).values == labels
    return Quality(len(rows), 100 * float(right.float().mean()), alignment(rows, labels), uniformity(rows), k)
