"""Dumps as the host writes them, and files that are none."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.evaluator import DumpResults

from mmcds.analysis.metrics.predictions import read_predictions, reliability_of_file


def dump(path: Path, samples: list[dict[str, Any]]) -> Path:
    metric = DumpResults(str(path))
    metric.process(None, samples)
    metric.evaluate(len(samples))
    return path


def sample(label: int, *scores: float) -> dict[str, Any]:
    return {
        'gt_label': torch.tensor([label]),
        'pred_score': torch.tensor(scores),
        'ori_shape': (32, 32),
        'scale_factor': np.array([1.0, 2.0]),
        'score': np.float32(0.5),
        'img_path': 'a.png',
    }


def test_a_dump_is_read(tmp_path: Path) -> None:
    path = dump(tmp_path / 'out.pkl', [sample(0, 0.75, 0.25), sample(0, 0.25, 0.75), sample(1, 0.5, 0.5)])
    first = read_predictions(path)[0]
    assert torch.equal(first['pred_score'], torch.tensor([0.75, 0.25]))
    assert first['scale_factor'].tolist() == [1, 2]
    bins = reliability_of_file(path, bins=2)
    # 0.5 is the upper edge of the first bin and, of equal scores, the first class is predicted: wrong.
    assert bins.counts.tolist() == [1, 2]
    assert bins.expected_error == pytest.approx((50 + 2 * 25) / 3)


class Trap:
    def __reduce__(self) -> Any:
        return os.mkdir, ('trap',)


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = dump(tmp_path / 'results.pkl', [sample(3, 0.75, 0.25)])
    with pytest.raises(FileNotFoundError, match=r'does not exist; \.pkl files beside it: results\.pkl; write one with'):
        read_predictions(tmp_path / 'result.pkl')
    with pytest.raises(ValueError, match=r'results\.pkl: gt_label=3 is out of range for 2 classes'):
        reliability_of_file(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match='cannot be read'):
        read_predictions(path)
    path.write_bytes(pickle.dumps({'accuracy/top1': 50.0}))
    with pytest.raises(ValueError, match=r'holds no list of predictions.*without --out-item metrics'):
        read_predictions(path)
    path.write_bytes(pickle.dumps([{'a': Trap()}]))
    with pytest.raises(ValueError, match=r'cannot be read \(it holds \w+\.mkdir\)'):
        read_predictions(path)
    assert not (tmp_path / 'trap').exists()
    with pytest.raises(ValueError, match="needs 'pred_score'"):
        reliability_of_file(dump(path, [{'gt_label': torch.tensor([0])}]))
