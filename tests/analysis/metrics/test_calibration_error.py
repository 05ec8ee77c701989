"""The metric in mmpretrain's own evaluator, beside Accuracy."""

from typing import Any

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope

from mmcds.analysis.metrics import CalibrationError

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


def test_what_is_refused() -> None:
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
