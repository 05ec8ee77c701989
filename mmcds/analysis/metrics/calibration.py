"""Calibration: the bins of a reliability diagram and their errors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmcds.utils.errors import check_count

#: Softmax in half precision sums to 1 up to this; what is further off are no class probabilities.
_SUM_TOLERANCE = 0.05


@dataclass(frozen=True)
class Reliability:
    """N predictions in B bins (low, high] of equal width of their confidence.

    Attributes:
        counts (np.ndarray): Predictions per bin (B,), int64.
        confidence (np.ndarray): Mean confidence per bin (B,), float64 in [0, 1], NaN where a bin is empty.
        accuracy (np.ndarray): Share of right predictions per bin (B,), the same.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def gaps(self) -> np.ndarray:
        """Difference of accuracy and confidence per bin (B,), in [0, 1]; 0 for an empty bin."""
        return np.nan_to_num(np.abs(self.accuracy - self.confidence))

    @property
    def expected_error(self) -> float:
        """Expected calibration error: the mean gap, weighted by the counts (Guo et al. 2017, eq. 3), in percent."""
        return float(100 * (self.counts * self.gaps).sum() / self.counts.sum())

    @property
    def maximum_error(self) -> float:
        """Maximum calibration error: the largest gap (Guo et al. 2017, eq. 5), in percent."""
        return float(100 * self.gaps.max())

    @property
    def top1(self) -> float:
        """Accuracy of all predictions, in percent."""
        return float(100 * np.nansum(self.counts * self.accuracy) / self.counts.sum())


def reliability(
    confidence: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray, bins: int = 15
) -> Reliability:
    """Sort predictions into bins by their confidence (`Guo et al. 2017 <https://arxiv.org/abs/1706.04599>`_).

    Args:
        confidence (Sequence[float]): Largest class probability of each prediction (N,), in [0, 1]; computed
            with in float64. 0 goes into the first bin.
        correct (Sequence[bool]): Whether each is right (N,).
        bins (int): Number of bins, >= 1. Defaults to 15, as in most publications.

    Returns:
        Reliability: The bins, with the errors that follow from them.

    Raises:
        ValueError: If there is no prediction, the lengths differ, or a confidence is outside [0, 1].

    Example:
        >>> round(reliability([0.9, 0.9, 0.6, 0.6], [True, True, True, False]).expected_error, 6)
        10.0
    """
    check_count('num_bins', bins, 1)
    values = np.asarray(confidence, dtype=np.float64).reshape(-1)
    right = np.asarray(correct, dtype=bool).reshape(-1)
    if len(values) == 0 or len(values) != len(right):
        raise ValueError(
            f'{len(values)} confidences and {len(right)} results: calibration needs one of each per prediction, '
            'and at least one prediction'
        )
    outside = values[~((values >= 0) & (values <= 1))]
    if len(outside):
        raise ValueError(f'confidence={outside[0]:g} is not in [0, 1]; give probabilities (softmax), not logits')
    # side='left' puts a value on an edge into the bin that ends there.
    index = (np.searchsorted(np.linspace(0, 1, bins + 1), values, side='left') - 1).clip(0)
    counts = np.bincount(index, minlength=bins)
    sums = [np.bincount(index, weights=each, minlength=bins) for each in (values, right.astype(np.float64))]
    means = [np.divide(each, counts, out=np.full(bins, np.nan), where=counts > 0) for each in sums]
    return Reliability(counts, *means)


def top1_confidence(scores: np.ndarray, label: int, field: str = 'pred_score') -> tuple[float, bool]:
    """Confidence of one prediction and whether it is right, with its scores and label checked.

    Args:
        scores (np.ndarray): Class probabilities (C,), which sum to 1.
        label (int): The true class, in [0, C).
        field (str): Where the scores are from, for messages. Defaults to 'pred_score'.

    Returns:
        tuple[float, bool]: The largest probability, in [0, 1], and whether its class is ``label``.

    Raises:
        ValueError: If the scores are no probabilities or the label is out of range.
    """
    scores = np.asarray(scores, dtype=np.float64).reshape(-1)
    if not 0 <= label < len(scores):
        raise ValueError(
            f'gt_label={label} is out of range for {len(scores)} classes; valid: 0 to {len(scores) - 1}; '
            'correct the annotation or head.num_classes'
        )
    if not (scores >= 0).all() or abs(scores.sum() - 1) > _SUM_TOLERANCE:
        raise ValueError(
            f'{field} sums to {scores.sum():g} with a least value of {scores.min():g}, so it is no distribution over '
            'classes; calibration needs the softmax of a single-label head, not logits or multi-label scores'
        )
    # Rounding may leave a certain prediction a little above 1.
    return min(float(scores.max()), 1.0), int(scores.argmax()) == label
