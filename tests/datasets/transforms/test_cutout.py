"""The hole is the square around its centre, cut off at the borders."""

import numpy as np
import pytest

from mmcds.datasets.transforms import Cutout


@pytest.mark.parametrize('size', [1, 5, 16, 40])
def test_the_hole_is_the_clipped_square(size: int) -> None:
    np.random.seed(size)
    cutout, seen = Cutout(size), set()
    image = np.full((20, 32, 3), 200, dtype=np.uint8)
    for _ in range(300):
        results = cutout({'img': image})
        hole = (results['img'] == 0).all(2)
        seen.add((int(hole.any(1).sum()), int(hole.any(0).sum())))
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns) >= 1
        for places, side in ((rows, 20), (columns, 32)):
            assert len(places) <= size
            if len(places) < size:  # cut off, so it touches a border
                assert places[0] == 0 or places[-1] == side - 1
    assert (image == 200).all()
    if size == 16:
        assert {height for height, _ in seen} >= {8, 16}


def test_it_hides_what_the_definition_hides_on_average() -> None:
    """Per axis the mean over all centres of the clipped length, counted out."""
    expected = np.mean([min(c + 8, 32) - max(c - 8, 0) for c in range(32)]) ** 2
    np.random.seed(0)
    image = np.ones((32, 32, 3), dtype=np.uint8)
    hidden = [int((Cutout(16)({'img': image})['img'] == 0).all(2).sum()) for _ in range(4000)]
    assert abs(np.mean(hidden) - expected) < 4 * np.std(hidden) / np.sqrt(len(hidden))
    assert expected == pytest.approx(196)


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r'^Cutout\.size=0 is out of range'):
        Cutout(0)
