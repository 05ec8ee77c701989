"""Maps: their shapes, their determinism, and what is refused."""

import sys
from pathlib import Path

import mmcv
import numpy as np
import pytest

from mmcds.analysis.pictures.embedding_map import Panel, draw_crops, draw_maps, farthest_points, reduce_to_plane
from mmcds.analysis.pictures.save import save_figure


@pytest.fixture
def rows() -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.concatenate([generator.normal(i, 0.1, (12, 5)) for i in range(3)])


@pytest.mark.parametrize('method', ['pca', 'tsne'])
def test_classes_apart_stay_apart(rows: np.ndarray, method: str) -> None:
    points = reduce_to_plane(rows, method)
    assert points.shape == (36, 2)
    assert points.dtype == np.float64
    assert np.array_equal(points, reduce_to_plane(rows, method))
    centres = points.reshape(3, 12, 2).mean(1)
    spread = np.linalg.norm(points.reshape(3, 12, 2) - centres[:, None], axis=2).max()
    assert min(np.linalg.norm(centres[i] - centres[j]) for i, j in ((0, 1), (1, 2), (0, 2))) > spread


def test_what_is_refused(rows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^method='tsen' is not known; nearest: tsne"):
        reduce_to_plane(rows, 'tsen')
    with pytest.raises(ValueError, match=r'^3 rows are too few for a map'):
        reduce_to_plane(rows[:3])
    monkeypatch.setitem(sys.modules, 'umap', None)
    with pytest.raises(ImportError, match=r"^method='umap' needs umap-learn, which is not installed; pip install"):
        reduce_to_plane(rows, 'umap')


def test_points_far_from_each_other() -> None:
    points = np.array([[0.0, 0], [0.1, 0], [10, 0], [0, 10], [0.2, 0.1]])
    assert set(farthest_points(points, 3)) >= {2, 3}
    assert sorted(farthest_points(points, 99)) == [0, 1, 2, 3, 4]


def test_pictures(rows: np.ndarray, tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 12], 12)
    panel = Panel('a tap', reduce_to_plane(rows, 'pca'), labels, 'a note')
    figure = draw_maps([[panel, panel], [panel]], ['cat', 'dog'], 'title')
    assert [axis.get_title() for axis in figure.axes[:3]] == ['a tap'] * 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['cat', 'dog', '12']
    plain = mmcv.imread(str(save_figure(figure, tmp_path / 'a/maps.png')))
    assert plain.std() > 5
    crops = draw_crops(panel, {3: np.full((8, 20, 3), 200, np.uint8)}, ['cat', 'dog'])
    with_crop = mmcv.imread(str(save_figure(crops, tmp_path / 'crops.png')))
    assert np.equal(with_crop, 200).all(2).sum() > 100
