"""Alignment and uniformity against loops over all pairs; the vote against scikit-learn's leave-one-out."""

import math

import pytest
import torch
from torch import Tensor

from mmcds.analysis.metrics import embedding_quality
from mmcds.analysis.metrics.embedding_quality import alignment, measure, uniformity


@pytest.fixture
def rows() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(40, 6, generator=generator) * 3, torch.randint(4, (40,), generator=generator)


def pairs(z: Tensor, labels: Tensor | None = None) -> list[float]:
    unit = z.double() / z.double().norm(dim=1, keepdim=True)
    return [
        float((unit[i] - unit[j]).square().sum())
        for i in range(len(z))
        for j in range(len(z))
        if i != j and (labels is None or labels[i] == labels[j])
    ]


def test_alignment(rows: tuple[Tensor, Tensor]) -> None:
    found = pairs(*rows)
    assert alignment(*rows) == pytest.approx(sum(found) / len(found))
    assert alignment(torch.ones(5, 3), torch.zeros(5)) == pytest.approx(0, abs=1e-12)
    assert math.isnan(alignment(torch.ones(3, 2), torch.arange(3)))


@pytest.mark.parametrize('block', [7, 1024])
def test_uniformity(rows: tuple[Tensor, Tensor], block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_quality, 'BLOCK', block)
    found = [math.exp(-2 * each) for each in pairs(rows[0])]
    assert uniformity(rows[0]) == pytest.approx(math.log(sum(found) / len(found)))
    assert uniformity(torch.ones(5, 3)) == pytest.approx(0)
    # Features that are 0 have no direction: their products are 0, those with themselves, too.
    assert uniformity(torch.zeros(5, 3)) == pytest.approx(-4)
    assert math.isnan(uniformity(torch.ones(1, 3)))


def test_a_row_does_not_vote_for_itself() -> None:
    """Two of a class side by side, and one alone whose only neighbours are of the other class."""
    z, labels = torch.tensor([[1.0, 0], [1, 0.1], [0, 1]]), torch.tensor([0, 0, 1])
    quality = measure(z, labels, k=1)
    assert quality.knn == pytest.approx(200 / 3)
    assert (quality.rows, quality.k) == (3, 1)
    assert measure(z, labels, k=50).k == 2
    assert '1-NN 66.7 %' in quality.text()


def test_one_row() -> None:
    with pytest.raises(ValueError, match=r'^1 rows have no neighbours; give more'):
        measure(torch.ones(1, 3), torch.zeros(1))
