"""Heat maps against the features themselves."""

from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from toys import build

from mmcds import add_cds, remove_cds
from mmcds.analysis.pictures.feature_maps import (
    draw_channels,
    draw_heat,
    find_place,
    liveliest,
    similarity,
    strength,
    tap_maps,
)
from mmcds.analysis.pictures.save import save_figure


@pytest.fixture
def detector(stock_config: Config) -> Config:
    """Images of 64x48 are tested at twice the size, and padded to multiples of 32."""
    test = stock_config.train_dataloader.to_dict()
    test['dataset']['pipeline'] = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(128, 96), keep_ratio=True),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='PackDetInputs', meta_keys=('img_path', 'img_shape', 'ori_shape', 'scale_factor')),
    ]
    stock_config.test_dataloader = test
    return add_cds(stock_config)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    picture = np.zeros((40, 64, 3), np.uint8)
    picture[:, 40:] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / 'image.png'), picture)
    return tmp_path / 'image.png'


def test_maps_of_a_detector(detector: Config, image: Path, tmp_path: Path) -> None:
    model = build(detector)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'a.pth')
    found = tap_maps(detector, tmp_path / 'a.pth', image, ['backbone.0', 'neck.1'])
    # 80 x 128 after the resize; the padding to 96 is cut off again.
    assert found.picture.shape == (80, 128, 3)
    assert np.abs(found.picture[40, 20].astype(int) - (0, 0, 0)).max() <= 1
    assert np.abs(found.picture[40, 120].astype(int) - (255, 0, 0)).max() <= 1
    assert {name: tuple(each.shape) for name, each in found.maps.items()} == {
        'backbone.0': (16, 20, 32),
        'neck.1': (16, 10, 16),
    }
    stock = tap_maps(remove_cds(detector), tmp_path / 'a.pth', image, ['backbone.0', 'neck.1'])
    assert all(torch.equal(stock.maps[name], found.maps[name]) for name in found.maps)
    figure = draw_heat([stock, found], 'title')
    heat: dict[str, Any] = {axis.get_title(): axis.images[-1].get_array() for axis in figure.axes if axis.get_title()}
    np.testing.assert_allclose(heat['backbone.0, (20, 32)'], strength(found.maps['backbone.0']))
    channels = draw_channels([stock, found], 'neck.1', 3)
    drawn: list[Any] = [axis.images[0].get_array() for axis in channels.axes]
    assert len(drawn) == 6
    for ours, expected in zip(drawn[3:], liveliest(found.maps['neck.1'], 3).values(), strict=True):
        np.testing.assert_allclose(ours, expected)
    for each in (figure, channels):
        assert save_figure(each, tmp_path / 'a.png').stat().st_size > 1000


@pytest.mark.parametrize(
    ('steps', 'size', 'expected'),
    [
        ([dict(type='Resize', scale=(128, 96), keep_ratio=True)], (128, 80), (100, 20)),
        # The middle 40 of 64 columns: 50 - 12.
        ([dict(type='mmpretrain.CenterCrop', crop_size=(40, 40))], (40, 40), (38, 10)),
        (
            [
                dict(type='Resize', scale=(32, 32), keep_ratio=True),
                dict(type='Pad', size=(32, 32), pad_val=dict(img=(114.0, 114.0, 114.0))),
            ],
            (32, 32),
            (25, 5),
        ),
    ],
)
def test_a_place_goes_through_the_pipeline(
    steps: list[dict], size: tuple[int, int], expected: tuple[int, int], image: Path, mmdet_scope: None
) -> None:
    pack = dict(type='PackDetInputs', meta_keys=())
    raw = dict(img_path=str(image), img=mmcv.imread(image), img_id=0, img_shape=(40, 64), ori_shape=(40, 64))
    found = find_place([dict(type='LoadImageFromFile'), *steps, pack], raw, (50, 10))
    assert found == pytest.approx(expected, abs=1)
    assert max(found) < max(size)


def test_a_place_that_is_cropped_away(image: Path, mmdet_scope: None) -> None:
    steps: list[dict] = [
        dict(type='mmpretrain.CenterCrop', crop_size=(20, 20)),
        dict(type='PackDetInputs', meta_keys=()),
    ]
    raw = dict(img_path=str(image), img=mmcv.imread(image), img_id=0, img_shape=(40, 64), ori_shape=(40, 64))
    with pytest.raises(ValueError, match=r'^place=\(2, 2\): the test pipeline crops it away'):
        find_place(steps, raw, (2, 2))
    with pytest.raises(ValueError, match=r'^place=\(64, 2\) is outside the image of 64 x 40 pixels'):
        find_place(steps, raw, (64, 2))


def test_heat_by_hand() -> None:
    feature = torch.zeros(2, 2, 3)
    feature[:, 0, 0] = torch.tensor([3.0, 4.0])
    feature[:, 1, 2] = torch.tensor([-6.0, -8.0])
    feature[0, 0, 1] = 1
    assert torch.equal(strength(feature), torch.tensor([[0.5, 0.1, 0.0], [0.0, 0.0, 1.0]]))
    # The place (0.1, 0.2) is in the first of three columns and two rows.
    torch.testing.assert_close(similarity(feature, (0.1, 0.2)), torch.tensor([[1.0, 0.6, 0.0], [0.0, 0.0, -1.0]]))
    assert similarity(feature, (0.999, 0.999))[1, 2] == pytest.approx(1)
    assert list(liveliest(feature, 1)) == [1]
    assert list(liveliest(feature, 9)) == [1, 0]


def test_what_is_refused(detector: Config, image: Path, tmp_path: Path) -> None:
    torch.save({'state_dict': build(detector).state_dict()}, tmp_path / 'a.pth')
    with pytest.raises(FileNotFoundError, match=r"^image='.*none.png' does not exist"):
        tap_maps(detector, tmp_path / 'a.pth', tmp_path / 'none.png')
    with pytest.raises(ValueError, match=r"^taps='backbone.7' is not known"):
        tap_maps(detector, tmp_path / 'a.pth', image, ['backbone.7'])
    (tmp_path / 'text.png').write_text('no image')
    with pytest.raises(ValueError, match='cannot be decoded'):
        tap_maps(detector, tmp_path / 'a.pth', tmp_path / 'text.png')
