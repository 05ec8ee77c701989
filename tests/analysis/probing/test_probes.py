"""Probes where the right answer is known."""

import numpy as np
import pytest
import torch

from mmcds.analysis.probing.probes import Probe, jobs, knn_accuracy, linear_accuracy, majority, probe_all, table
from mmcds.analysis.probing.tap_features import TapFeatures


def clusters(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three directions, far apart, with lengths that say nothing and that Euclidean distance would go by."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    points = np.eye(3)[labels] + 0.1 * random.normal(size=(rows, 3))
    return points * random.uniform(0.01, 100, size=(rows, 1)), labels


def opposite_corners(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Exclusive or: a line through the plane is right half of the time."""
    random = np.random.default_rng(seed)
    corner = random.choice([-1.0, 1.0], size=(rows, 2))
    return corner + 0.1 * random.normal(size=(rows, 2)), (corner.prod(1) > 0).astype(int)


def test_neighbours_are_by_direction() -> None:
    assert knn_accuracy(*clusters(90), *clusters(60, 1)) == 100
    # More neighbours than rows: all vote, so the answer is the most frequent class.
    x, y = clusters(5)
    assert knn_accuracy(x, y, *clusters(60, 1), k=20) == pytest.approx(100 / 3)


def test_what_a_line_cannot_tell_apart() -> None:
    train, test = opposite_corners(400), opposite_corners(400, 1)
    assert knn_accuracy(*train, *test) == 100
    accuracy, converged = linear_accuracy(*train, *test)
    assert 35 < accuracy < 65
    assert converged


def test_linear_does_not_go_by_scale() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    # The first number tells the class, a thousandth of the second's size.
    points = np.stack([labels * 1e-3 + 1e-4 * random.normal(size=200), random.normal(size=200)], 1)
    assert linear_accuracy(points[:100], labels[:100], points[100:], labels[100:]) == (100, True)
    assert not linear_accuracy(points[:100], labels[:100], points[100:], labels[100:], max_iter=1)[1]


def features(rows: int, seed: int) -> TapFeatures:
    good, labels = clusters(rows, seed)
    noise = torch.randn(rows, 2, generator=torch.Generator().manual_seed(seed))
    found = torch.from_numpy(good).float()
    return TapFeatures(torch.from_numpy(labels), {'backbone.0': noise, 'backbone.1': found}, {'backbone.0': found})


def test_all_taps() -> None:
    noise, embedding, good = probe_all(features(300, 0), features(300, 1), k=5)
    assert (noise.tap, noise.kind, noise.width) == ('backbone.0', 'feature', 2)
    assert (embedding.tap, embedding.kind, embedding.width) == ('backbone.0', 'embedding', 3)
    assert (good.tap, good.kind, good.width) == ('backbone.1', 'feature', 3)
    assert good.knn == embedding.knn == 100
    for value in (noise.knn, noise.linear):
        assert 20 < value < 45
    assert jobs(features(3, 0)) == [('backbone.0', 'feature'), ('backbone.0', 'embedding'), ('backbone.1', 'feature')]


def test_majority() -> None:
    assert majority(torch.tensor([0, 2, 2]), torch.tensor([2, 0, 0, 1])) == 25


def test_table() -> None:
    about = {'train': 30, 'test': 20, 'classes': 3, 'skipped': 0, 'majority': 40.0}
    text = table([Probe('backbone.0', 'feature', 64, 50.0, 99.5, True)], about, 20)
    assert '| backbone.0 | feature | 64    | 50.00   | 99.50    |' in text
    assert text.endswith('30 training rows of 3 classes, 20 test rows; always saying the most frequent class: 40.00 %')
    text = table([Probe('neck.0', 'embedding', 8, 50.0, 99.5, False)], {**about, 'skipped': 2}, 20)
    assert '99.50 *' in text
    assert '2 rows without a class or without area were left out' in text
    assert 'did not converge' in text


def test_what_is_refused() -> None:
    one = TapFeatures(torch.zeros(4, dtype=torch.long), {'backbone.0': torch.ones(4, 2)})
    with pytest.raises(ValueError, match=r'4 training rows are all of class 0.*--max-train'):
        list(probe_all(one, one))
    two = TapFeatures(torch.tensor([0, 1]), {'backbone.0': torch.tensor([[1.0, torch.nan], [0, 1]])})
    with pytest.raises(ValueError, match=r'backbone\.0: 1 features are not finite; has the run diverged'):
        list(probe_all(two, two))
    with pytest.raises(ValueError, match='k=0 is out of range'):
        list(probe_all(features(9, 0), features(9, 0), k=0))
