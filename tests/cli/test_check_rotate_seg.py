"""Bad data of mmrotate and mmsegmentation: one clear line before the model is built."""

from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import pytest
from mmengine.config import Config

from mmcds.cli.check_rotate_seg import check_rotate_seg
from mmcds.cli.prepare import host_of

CLASSES = ('sky', 'road', 'car')


def seg_config(root: Path, **dataset: Any) -> Config:
    """Training and validation set of three images of a BaseSegDataset, and a head."""
    part = dict(
        type='BaseSegDataset',
        data_root=str(root),
        data_prefix=dict(img_path='images', seg_map_path='maps'),
        img_suffix='.png',
        seg_map_suffix='.png',
        metainfo=dict(classes=CLASSES),
        pipeline=[dict(type='LoadAnnotations')],
    )
    backbone, head = dict(type='mmdet.ResNet', depth=18), dict(type='FCNHead', num_classes=3)
    return Config(
        dict(
            default_scope='mmseg',
            model=dict(type='EncoderDecoder', backbone=backbone, decode_head=head, auxiliary_head=[dict(head)]),
            train_dataloader=dict(dataset={**part, **dataset}),
            val_dataloader=dict(dataset=part),
        )
    )


@pytest.fixture
def seg(tmp_path: Path) -> Path:
    pytest.importorskip('mmseg')
    for index in range(3):
        mmcv.imwrite(np.zeros((8, 8, 3), np.uint8), str(tmp_path / f'images/{index}.png'))
        labels = np.full((8, 8), index, np.uint8)
        labels[0] = 255
        mmcv.imwrite(labels, str(tmp_path / f'maps/{index}.png'))
    return tmp_path


def test_a_good_data_set_is_accepted(seg: Path) -> None:
    assert check_rotate_seg(seg_config(seg)) == []
    assert host_of(seg_config(seg)) == 'mmseg'
    # The checkpoint's classes in another order: a warning that names the remedy.
    (warning,) = check_rotate_seg(seg_config(seg), ['val_dataloader'], lambda: ('road', 'sky', 'car'))
    assert warning.startswith('val_dataloader.dataset has the classes of the checkpoint in another order')


def remove_image(root: Path) -> None:
    (root / 'images/1.png').unlink()
    (root / 'list.txt').write_text('0\n1\n2\n')


def colour_map(root: Path) -> None:
    mmcv.imwrite(np.zeros((8, 8, 3), np.uint8), str(root / 'maps/1.png'))


def unknown_class(root: Path) -> None:
    mmcv.imwrite(np.full((8, 8), 3, np.uint8), str(root / 'maps/2.png'))


@pytest.mark.parametrize(
    ('spoil', 'dataset', 'error', 'message'),
    [
        (
            None,
            dict(data_root='/nowhere'),
            FileNotFoundError,
            r"data_prefix\.img_path='/nowhere/images' does not exist",
        ),
        (None, dict(img_suffix='.jpg'), ValueError, r"has no image: none in '.*images' has the suffix"),
        (remove_image, dict(ann_file='list.txt'), FileNotFoundError, r"1 of 3 images are missing, .*images/1\.png'"),
        (lambda root: (root / 'maps/0.png').unlink(), {}, FileNotFoundError, '1 of 3 label maps are missing'),
        (colour_map, {}, ValueError, r"label map '.*1\.png' has the shape \(8, 8, 3\), not \(H, W\)"),
        (unknown_class, {}, ValueError, r"label map '.*2\.png' has the class 3, but the data set has 3 classes"),
        (
            None,
            dict(metainfo=dict(classes=('a', 'b'))),
            ValueError,
            r'model\.decode_head\.num_classes=3 but the data set has 2',
        ),
        (
            None,
            dict(metainfo=dict(classes=('road', 'sky', 'car'))),
            ValueError,
            "'sky' is label 1 in train_dataloader.dataset .* but label 0",
        ),
        (None, dict(type='NoSuchDataset'), ValueError, r"\.type='NoSuchDataset' is not registered"),
    ],
)
def test_bad_segmentation_data(seg: Path, spoil: Any, dataset: dict, error: type[Exception], message: str) -> None:
    if spoil:
        spoil(seg)
    with pytest.raises(error, match=message) as caught:
        check_rotate_seg(seg_config(seg, **dataset))
    assert '\n' not in str(caught.value)


def test_the_zero_label_is_not_counted_where_it_is_reduced(seg: Path) -> None:
    unknown_class(seg)
    cfg = seg_config(seg, reduce_zero_label=True)
    cfg.val_dataloader = None
    assert check_rotate_seg(cfg) == []


def rotated_config(root: Path, **dataset: Any) -> Config:
    part = dict(
        type='DOTADataset',
        data_root=str(root),
        data_prefix=dict(img_path='images'),
        ann_file='labels',
        metainfo=dict(classes=('ship', 'plane')),
        pipeline=[],
    )
    model = dict(type='mmdet.RetinaNet', backbone=dict(type='mmdet.ResNet'), bbox_head=dict(num_classes=2))
    return Config(dict(default_scope='mmrotate', model=model, train_dataloader=dict(dataset={**part, **dataset})))


@pytest.fixture
def rotated(tmp_path: Path) -> Path:
    pytest.importorskip('mmrotate')
    for index in range(2):
        mmcv.imwrite(np.zeros((8, 8, 3), np.uint8), str(tmp_path / f'images/{index}.png'))
        (tmp_path / 'labels').mkdir(exist_ok=True)
        (tmp_path / f'labels/{index}.txt').write_text('1 1 6 1 6 4 1 4 ship 0\n')
    return tmp_path


def test_bad_rotated_data(rotated: Path) -> None:
    assert check_rotate_seg(rotated_config(rotated), ['train_dataloader']) == []
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        (
            dict(ann_file='nowhere'),
            FileNotFoundError,
            r"train_dataloader\.dataset\.ann_file='.*nowhere' does not exist",
        ),
        (dict(metainfo=dict(classes=('plane', 'car'))), ValueError, r"names the class 'ship', .*\(plane, car\)"),
        (dict(metainfo=dict(classes=('ship',))), ValueError, r'model\.bbox_head\.num_classes=2 but'),
        (dict(img_suffix='jpg'), FileNotFoundError, r"2 of 2 images are missing, the first is '.*\.jpg'"),
    ]
    for dataset, error, message in cases:
        with pytest.raises(error, match=message):
            check_rotate_seg(rotated_config(rotated, **dataset), ['train_dataloader'])
    (rotated / 'labels/1.txt').write_text('1 1 6 1 6 4 1 four ship 0\n')
    with pytest.raises(
        ValueError, match=r"^train_dataloader\.dataset: annotations in '.*labels' cannot be read \(could"
    ):
        check_rotate_seg(rotated_config(rotated), ['train_dataloader'])


@pytest.mark.parametrize(
    ('error', 'message'), [(ImportError('No module'), 'is not there'), (AssertionError('MMCV=='), 'refuses')]
)
def test_a_package_that_cannot_be_imported(error: Exception, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr('mmcds.cli.prepare.import_module', fail)
    with pytest.raises(ValueError, match=rf"^default_scope='mmyolo': the package {message}"):
        host_of(Config(dict(default_scope='mmyolo')))


def test_label_maps_of_another_format_are_left_to_their_loader(seg: Path) -> None:
    cfg = seg_config(seg)
    (seg / 'maps/1.png').write_bytes(b'no picture')
    with pytest.raises(ValueError, match=r"label map '.*1\.png' does not decode \(.*\); replace the file$"):
        check_rotate_seg(cfg)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.pipeline = [dict(type='LoadBiomedicalAnnotation')]
    assert check_rotate_seg(cfg) == []
