"""Bins and errors against sums written out, and what is no probability."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcds.analysis.metrics import reliability
from mmcds.analysis.metrics.calibration import top1_confidence


def by_hand(confidence: list[float], correct: list[bool], bins: int) -> tuple[float, float]:
    """Guo et al. 2017, eqs. 3 and 5, with every bin (low, high] looked through for its members."""
    expected, largest = [], 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = [(p, c) for p, c in zip(confidence, correct, strict=True) if low < p <= high or (p == 0 == b)]
        if inside:
            gap = abs(sum(c for _, c in inside) - sum(p for p, _ in inside)) / len(inside)
            expected.append(len(inside) / len(confidence) * gap)
            largest = max(largest, gap)
    return 100 * math.fsum(expected), 100 * largest


# Of 8 and 16 bins the edges are exact, so that both ways agree on what lies on one.
@pytest.mark.parametrize('bins', [1, 8, 16])
@given(
    st.lists(
        st.tuples(st.one_of(st.floats(0, 1), st.sampled_from([i / 16 for i in range(17)])), st.booleans()), min_size=1
    )
)
def test_the_errors_are_the_definition_s(bins: int, predictions: list[tuple[float, bool]]) -> None:
    confidence, correct = [p for p, _ in predictions], [c for _, c in predictions]
    found = reliability(confidence, correct, bins)
    assert (found.expected_error, found.maximum_error) == pytest.approx(by_hand(confidence, correct, bins), abs=1e-9)
    assert found.counts.sum() == len(predictions)
    assert found.top1 == pytest.approx(100 * np.mean(correct))


def test_known_values() -> None:
    """Fifteen bins: 0.95 twice with one right (gap 45), 0.55 twice, both right (gap 45), 0.2 on an edge, wrong (20)."""
    found = reliability([0.95, 0.95, 0.55, 0.55, 0.2], [True, False, True, True, False])
    assert found.counts.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 2]
    assert found.expected_error == pytest.approx((2 * 45 + 2 * 45 + 20) / 5)
    assert found.maximum_error == pytest.approx(45)
    assert found.top1 == pytest.approx(60)
    np.testing.assert_allclose(found.accuracy[[2, 8, 14]], [0, 1, 0.5])
    assert np.isnan(found.accuracy[[0, 1, 3]]).all()


def test_perfect_and_worst() -> None:
    assert reliability([1.0, 1.0], [True, True]).expected_error == 0
    assert reliability([1.0, 1.0], [False, False]).expected_error == 100
    calibrated = np.random.default_rng(0).uniform(size=200_000)
    right = np.random.default_rng(1).uniform(size=200_000) < calibrated
    assert reliability(calibrated, right).expected_error < 0.5


@pytest.mark.parametrize(
    ('confidence', 'correct', 'bins', 'message'),
    [
        ([], [], 15, '0 confidences and 0 results'),
        ([0.5], [True, False], 15, '1 confidences and 2 results'),
        ([0.5, 1.5], [True, False], 15, r'confidence=1\.5 is not in \[0, 1\]; give probabilities'),
        ([0.5, math.nan], [True, False], 15, 'confidence=nan'),
        ([0.5], [True], 0, 'num_bins=0 is out of range'),
    ],
)
def test_what_is_refused(confidence: list, correct: list, bins: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reliability(confidence, correct, bins)


def test_one_prediction() -> None:
    assert top1_confidence(np.array([0.25, 0.75]), 1) == (0.75, True)
    assert top1_confidence(np.array([0.25, 0.75]), 0) == (0.75, False)
    assert top1_confidence(np.array([0.0, 1.0 + 1e-6]), 1) == (1.0, True)


@pytest.mark.parametrize(
    ('scores', 'label', 'message'),
    [
        ([0.5, 0.5], 2, r'gt_label=2 is out of range for 2 classes; valid: 0 to 1'),
        ([0.5, 0.5], -1, r'gt_label=-1 is out of range'),
        ([3.0, -1.0], 0, r'pred_score sums to 2 with a least value of -1.*not logits'),
        ([0.9, 0.8], 0, r'pred_score sums to 1\.7'),
        ([math.nan, 0.5], 0, 'pred_score sums to nan'),
    ],
)
def test_scores_that_are_refused(scores: list[float], label: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        top1_confidence(np.array(scores), label)
