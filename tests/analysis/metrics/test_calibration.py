"""Bins and errors against sums written out, and what is no probability."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope

from mmcds.analysis.metrics import CalibrationError, reliability
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


mmpretrain = pytest.importorskip('mmpretrain')

#: (largest probability, is it right): two bins of 15, whose gaps are 0.1 and 0.4.
PREDICTIONS = [(0.9, True), (0.9, True), (0.6, True), (0.6, False), (0.9, True), (0.6, False)]
ECE = (3 * 10 + 3 * (60 - 100 / 3)) / 6


def samples() -> list[Any]:
    from mmpretrain.structures import DataSample

    found = []
    for i, (confidence, right) in enumerate(PREDICTIONS):
        scores = torch.full((4,), (1 - confidence) / 3)
        scores[i % 4] = confidence
        found.append(DataSample().set_pred_score(scores).set_gt_label(i % 4 if right else (i + 1) % 4))
    return found


def test_beside_accuracy() -> None:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        metrics = [dict(type='Accuracy', topk=1), dict(type='mmcds.CalibrationError', maximum=True)]
        evaluator = Evaluator(metrics)
        evaluator.process(samples()[:4])
        evaluator.process(samples()[4:])
        found = evaluator.evaluate(len(PREDICTIONS))
    assert found['accuracy/top1'] == pytest.approx(100 * 4 / 6, abs=1e-4)
    assert found['calibration/ece'] == pytest.approx(ECE, abs=1e-4)
    assert found['calibration/mce'] == pytest.approx(60 - 100 / 3, abs=1e-4)


def test_one_bin_is_the_difference_of_the_means() -> None:
    metric = CalibrationError(num_bins=1, prefix='test')
    metric.process(None, [each.to_dict() for each in samples()])
    assert metric.evaluate(6) == {'test/ece': pytest.approx(75 - 100 * 4 / 6, abs=1e-4)}


def test_numbers_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match=r'CalibrationError\.num_bins=0 is out of range'):
        CalibrationError(num_bins=0)
    metric = CalibrationError()
    good = samples()[0].to_dict()
    for change, message in (
        ({'pred_score': None}, "calibration needs 'pred_score', the data sample has gt_label.*LinearClsHead"),
        ({'gt_label': None}, "calibration needs 'gt_label', the data sample has .*pred_score.*a data set with labels"),
        ({'gt_label': torch.tensor([0, 2])}, r'gt_label=\[0, 2\] is not one class'),
        ({'gt_label': torch.tensor([7])}, 'gt_label=7 is out of range for 4 classes'),
        ({'pred_score': torch.tensor([4.0, -1.0, 0, 0])}, 'no distribution over classes'),
    ):
        bad = {key: value for key, value in {**good, **change}.items() if value is not None}
        with pytest.raises(ValueError, match=message):
            metric.process(None, [bad])
