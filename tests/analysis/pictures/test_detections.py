"""Matching detections with objects, and the sheet of pictures."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from pycocotools.coco import COCO
from toys import instances

from mmcds.analysis.pictures.box_labels import Remark
from mmcds.analysis.pictures.detections import Example, contact_sheet, detect, draw_change, draw_example
from mmcds.analysis.pictures.save import save_figure

CLASSES = ('cat', 'dog')
PALETTE = [(255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize(('objects', 'detections'), [(0, 0), (0, 2), (2, 0)])
def test_empty_images_are_drawn(objects: int, detections: int) -> None:
    box = [4.0, 4, 20, 20]
    example = Example(
        'empty.jpg',
        np.full((30, 60, 3), 128, np.uint8),
        instances([box] * objects, [0] * objects),
        instances([box] * detections, [1] * detections, [0.5] * detections),
    )
    picture, caption = draw_example(example, CLASSES, PALETTE, tile=120)
    assert picture.shape == (60, 240, 3)
    assert caption == f'empty.jpg: {objects} objects, 0 found, {objects} missed, {detections} wrong'


def test_boxes_are_drawn_where_they_are_in_the_colour_of_their_class() -> None:
    example = Example(
        'a.jpg',
        np.zeros((100, 100, 3), np.uint8),
        instances([[10, 40, 50, 90]], [0]),
        instances([[10, 40, 50, 90], [60, 40, 90, 90]], [0, 1], [0.9, 0.8]),
    )
    picture, caption = draw_example(example, CLASSES, PALETTE, tile=200)
    assert caption == 'a.jpg: 1 objects, 1 found, 0 missed, 1 wrong'
    truth, found = picture[:, :200].astype(int), picture[:, 200:].astype(int)
    for half in (truth, found):  # the left edge at 2 * 10, halfway up the box
        assert half[130, 18:23, 0].max() > 150
        assert half[130, 18:23, 2].max() < 100
    assert found[130, 118:123, 2].max() > 150
    assert truth[130, 118:123].max() < 50


def test_a_sheet_holds_all_pictures(tmp_path: Path) -> None:
    pictures = [(np.zeros((40, 80, 3), np.uint8), f'picture {i}') for i in range(3)]
    figure = contact_sheet(pictures, 'title', remarks=[Remark.NONE, Remark.WRONG])
    assert [axis.get_title() for axis in figure.axes] == ['picture 0', 'picture 1', 'picture 2', '']
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['right', 'wrong']
    assert save_figure(figure, tmp_path / 'new' / 'sheet.png').read_bytes().startswith(b'\x89PNG')
    with pytest.raises(ValueError, match='validation set empty'):
        contact_sheet([])


def test_detecting_spreads_over_the_set_and_gives_pixels_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaf = {
        'type': 'mmcds.ShapesDataset',
        'data_root': str(tmp_path / 'shapes'),
        'ann_file': 'annotations/instances_val.json',
        'data_prefix': {'img': 'val/'},
        'test_mode': True,
        'make': {'train': 1, 'val': 5, 'size': 64},
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'PackDetInputs'}],
    }
    cfg = Config({'default_scope': 'mmdet', 'val_dataloader': {'dataset': leaf}})

    class Model:
        def test_step(self, data: dict) -> list:
            assert data['inputs'][0].shape == (3, 64, 64)
            sample = data['data_samples'][0]
            sample.pred_instances = instances([[1, 2, 3, 4]] * 3, [0, 1, 2], [0.2, 0.4, 0.6])
            return [sample]

    monkeypatch.setattr('mmcds.analysis.pictures.detections.load_trained', lambda *args: (Model(), []))
    examples = list(detect(cfg, 'unused.pth', num=3))
    assert [example.name for example in examples] == ['00000.jpg', '00002.jpg', '00004.jpg']
    coco = COCO(tmp_path / 'shapes/annotations/instances_val.json')
    for example in examples:
        assert example.image.shape == (64, 64, 3)
        np.testing.assert_allclose(example.found.scores, [0.6, 0.4])
        boxes = [a['bbox'] for a in coco.imgToAnns[int(example.name[:5])]]
        np.testing.assert_allclose(example.truth.bboxes, [[x, y, x + w, y + h] for x, y, w, h in boxes], rtol=1e-6)
    assert len(list(detect(cfg, 'unused.pth', num=99))) == 5


def test_wrong_arguments_are_named() -> None:
    cfg = Config({'val_dataloader': {'dataset': {}}})
    with pytest.raises(ValueError, match='num=0'):
        next(detect(cfg, 'x.pth', num=0))
    with pytest.raises(ValueError, match=r'score_thr=1\.5'):
        next(detect(cfg, 'x.pth', score_thr=1.5))
    with pytest.raises(ValueError, match='val_dataloader'):
        next(detect(Config({}), 'x.pth'))


def test_what_changed_between_two_models() -> None:
    """The first finds a and c, the second b and c; each has one detection that is wrong, the second one two."""
    image = np.zeros((60, 90, 3), np.uint8)
    truth = instances([[0, 0, 20, 20], [30, 0, 50, 20], [60, 0, 80, 20]], [0, 1, 0])
    base = Example(
        'x.png', image, truth, instances([[0, 0, 20, 20], [60, 0, 80, 20], [0, 40, 9, 59]], [0, 0, 1], [0.9, 0.8, 0.5])
    )
    found = instances(
        [[30, 0, 50, 20], [60, 0, 80, 20], [0, 40, 9, 59], [40, 40, 50, 50]], [1, 0, 1, 1], [0.9, 0.8, 0.5, 0.4]
    )
    picture, caption = draw_change(base, Example('x.png', image, truth, found), CLASSES, PALETTE, tile=180)
    assert caption == 'x.png: 3 objects, found 2 -> 2 (gained 1, lost 1), wrong 1 -> 2'
    assert picture.shape == (120, 360, 3)
    assert picture[:, :180].any()
    assert picture[:, 180:].any()
    nothing = Example('x.png', image, truth, instances([], [], []))
    assert draw_change(nothing, nothing, CLASSES, PALETTE)[1].endswith('found 0 -> 0 (gained 0, lost 0), wrong 0 -> 0')
    with pytest.raises(ValueError, match=r'^x\.png and y\.png are not one image'):
        draw_change(base, Example('y.png', image, truth, found), CLASSES, PALETTE)
