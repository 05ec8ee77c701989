"""The sheet shows what the model gets: pictures, boxes and sizes against the training step's own."""

from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmcds import add_cds
from mmcds.analysis.pictures.save import save_figure
from mmcds.analysis.pictures.view_sheet import TwoViews, draw_views, to_pictures, training_views


def test_a_detector(stock_config: Config, toy_data: Path, tmp_path: Path) -> None:
    view = dict(type='PhotometricView', scale=0.5, jitter_prob=0.0, grayscale_prob=1.0)
    cfg = add_cds(stock_config, view=view)
    cfg.train_dataloader.dataset.pipeline[2].prob = 1.0  # every image is flipped
    found, classes = training_views(cfg, num=4)
    assert classes == ['a', 'b', 'c', 'd']
    assert len(found) == 4
    for place, views in zip((0, 1, 3, 5), found, strict=True):
        image = mmcv.imread(str(toy_data / f'images/{place}.png'))[:, ::-1]
        first, second = views.images
        # The preprocessor takes the mean off and divides, which is undone to a rounding.
        assert np.abs(first.astype(int) - image[..., ::-1].astype(int)).max() <= 1
        assert second.shape == (32, 32, 3)
        assert (second == second[..., :1]).all()
        assert len(views.boxes[0]) == len(views.labels) == 1 + place % 3
        assert views.boxes[1] * 2 == pytest.approx(views.boxes[0])
        assert views.label == -1
    figure = draw_views(found, classes, 'title')
    boxes = [len(axis.patches) for axis in figure.axes if axis.get_title()]
    assert boxes == [count for views in found for count in (len(views.labels),) * 2]
    assert 'view 2: 32 x 32, 1 objects' in figure.axes[1].get_title()
    shown: list[Any] = [axis.images[0].get_array() for axis in figure.axes if axis.get_title()]
    assert [len(each) for each in shown] == [64, 32] * 4
    assert save_figure(figure, tmp_path / 'views.png').stat().st_size > 1000


def test_a_classifier(classifier: Config) -> None:
    """mmpretrain's configs have the preprocessor without a type, and may have it beside the model."""
    cfg = add_cds(classifier, view=dict(type='PhotometricView', jitter_prob=0.0, grayscale_prob=0.0))
    cfg.data_preprocessor = cfg.model.pop('data_preprocessor')
    found, classes = training_views(cfg, 2)
    assert [views.label for views in found] == [0, 1]
    for views, level in zip(found, (40, 200), strict=True):
        assert views.images[0].shape == (8, 8, 3)
        assert views.images[0].mean() == pytest.approx(level, abs=8)
        assert np.abs(views.images[0].astype(int) - views.images[1].astype(int)).max() <= 1
    assert 'class1' in draw_views(found, classes).axes[2].get_title()


@pytest.mark.parametrize('kind', ['CDSNeck', 'DSNNeck'])
def test_one_view(stock_config: Config, kind: str) -> None:
    stock = stock_config.to_dict()
    neck = dict(type=f'mmcds.{kind}', neck=stock['model']['neck'], **({'num_classes': 4} if kind == 'DSNNeck' else {}))
    found, classes = training_views(Config({**stock, 'model': {**stock['model'], 'neck': neck}}), num=3)
    assert [len(views.images) for views in found] == [1, 1, 1]
    figure = draw_views(found, classes)
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == [f'view 1: 64 x 64, {len(views.labels)} objects' for views in found]
    assert [len(axis.patches) for axis in figure.axes if axis.get_title()] == [len(views.labels) for views in found]


def test_the_seed_decides(stock_config: Config) -> None:
    cfg = add_cds(stock_config, view=dict(type='PhotometricView'))
    (first,), (again,), (other,) = (training_views(cfg, 1, seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first.images[1], again.images[1])
    assert not np.array_equal(first.images[1], other.images[1])


@pytest.mark.parametrize('to_rgb', [True, False])
def test_pictures_are_rgb(to_rgb: bool) -> None:
    from mmdet.models.data_preprocessors import DetDataPreprocessor

    mean, std = [100.0, 110.0, 120.0], [50.0, 55.0, 60.0]
    preprocessor: Any = DetDataPreprocessor(mean=mean, std=std, bgr_to_rgb=to_rgb)
    image = torch.randint(256, (3, 8, 6), dtype=torch.uint8)  # BGR, as loaders give it
    inputs = preprocessor({'inputs': [image]})['inputs']
    (picture,) = to_pictures(inputs, preprocessor)
    assert np.abs(picture.astype(int) - image.numpy()[::-1].transpose(1, 2, 0).astype(int)).max() <= 1


@pytest.mark.parametrize('white', [1.0, 255.0, 65535.0])
@pytest.mark.parametrize('channels', [1, 3])
def test_pictures_of_any_range(white: float, channels: int) -> None:
    from mmdet.models.data_preprocessors import DetDataPreprocessor

    eight_bits = torch.randint(256, (channels, 8, 6)).float()
    eight_bits[0, 0, 0] = 255
    mean, std = [0.4 * white] * channels, [0.2 * white] * channels
    preprocessor: Any = DetDataPreprocessor(mean=mean, std=std)
    inputs = preprocessor({'inputs': [eight_bits / 255 * white]})['inputs']
    (picture,) = to_pictures(inputs, preprocessor)
    expected = eight_bits.expand(3, 8, 6).flip(0).permute(1, 2, 0).numpy()
    assert picture.shape == (8, 6, 3)
    assert np.abs(picture.astype(int) - expected.astype(int)).max() <= 1
    # What a pipeline has normalised is drawn from its darkest to its lightest pixel.
    plain: Any = DetDataPreprocessor()
    (stretched,) = to_pictures((inputs - inputs.mean()) / inputs.std(), plain)
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_what_is_refused(stock_config: Config) -> None:
    with pytest.raises(ValueError, match=r'^the config has no CDS; give a config'):
        training_views(stock_config)
    with pytest.raises(ValueError, match=r'^num=0'):
        training_views(add_cds(stock_config), 0)


def test_rotated_boxes_and_chosen_pixels_are_drawn_where_they_are() -> None:
    images = (np.zeros((40, 60, 3), np.uint8), np.zeros((20, 30, 3), np.uint8))
    boxes = (np.array([[30.0, 20, 20, 8, 0.5]]), np.array([[15.0, 10, 10, 4, 0.5]]))
    points = (np.array([[3.5, 8.5], [30.5, 2.5]]), np.array([[1.75, 4.25], [15.25, 1.25]]))
    views = TwoViews(images, boxes, np.array([1]), -1, points, np.array([0, 2]))
    figure = draw_views([views], ['a', 'b', 'c'])
    for axis, scale in zip(figure.axes, (1, 0.5), strict=True):
        (patch,) = axis.patches
        corners = patch.get_patch_transform().transform([(0, 0), (1, 0), (1, 1), (0, 1)])
        cos, sin = np.cos(0.5), np.sin(0.5)
        expected = [
            (30 + x * cos - y * sin, 20 + x * sin + y * cos) for x, y in ((-10, -4), (10, -4), (10, 4), (-10, 4))
        ]
        assert corners == pytest.approx(np.array(expected) * scale)
        assert np.asarray(axis.collections[0].get_offsets()) == pytest.approx(points[0] * scale)
        assert '1 objects, 2 pixels' in axis.get_title()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['a', 'b', 'c']
