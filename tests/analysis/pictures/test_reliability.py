"""Bars, gaps and titles are those of the bins."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmcds.analysis.metrics import Reliability, reliability
from mmcds.analysis.pictures.reliability import plot_reliability
from mmcds.analysis.pictures.save import save_figure


@pytest.fixture
def bins() -> Reliability:
    """Overconfident by 0.4 in the last of five bins, underconfident by 0.2 in the second."""
    return reliability([0.9, 0.9, 0.9, 0.9, 0.3, 0.3], [True, True, False, False, True, False], bins=5)


def test_every_number_is_in_the_figure(bins: Reliability, tmp_path: Path) -> None:
    figure = plot_reliability([('stock', bins), ('contrastive', bins)], 'CIFAR')
    axes: list[Any] = figure.axes
    diagram, other, histogram, _ = axes
    assert diagram.get_title() == 'stock\nECE 33.33 %, top-1 50.00 %'
    assert other.get_title().startswith('contrastive\n')
    accuracy, over, under, shares = [each.patches for each in (*diagram.containers, *histogram.containers)]
    assert [v for b in accuracy for v in (b.get_x(), b.get_height())] == pytest.approx([0.2, 0.5, 0.8, 0.5])
    assert [v for b in over for v in (b.get_y(), b.get_height())] == pytest.approx([0.3, 0, 0.5, 0.4])
    assert [v for b in under for v in (b.get_y(), b.get_height())] == pytest.approx([0.3, 0.2, 0.5, 0])
    np.testing.assert_allclose([b.get_height() for b in shares], [0, 1 / 3, 0, 0, 2 / 3])
    # Accuracy 50 %, mean confidence 70 %.
    assert [line.get_xdata()[0] for line in histogram.lines] == pytest.approx([0.5, 0.7])
    assert save_figure(figure, tmp_path / 'new' / 'out.png').read_bytes().startswith(b'\x89PNG')


def test_too_few_and_too_many(bins: Reliability) -> None:
    for runs in ([], [('a', bins)] * 7):
        with pytest.raises(ValueError, match='give 1 to 6'):
            plot_reliability(runs)
