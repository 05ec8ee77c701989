"""The generated shapes with rotated boxes and with classes of pixels."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from pycocotools.coco import COCO

from mmcds import datasets
from mmcds.datasets.scenes import CLASSES, draw_scene
from mmcds.datasets.shapes import STRETCH, make_shapes
from mmcds.registry import DATASETS

SIZE = 160
#: Digest of the annotations of 12 images, from before there were other kinds (commit 92beace).
ANNOTATIONS = 'dcb1d87f9a93b1fa'


@pytest.fixture(scope='module')
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp('shapes')
    return {kind: make_shapes(folder / kind, train=12, val=4, kind=kind) for kind in ('boxes', 'rotated', 'pixels')}


def filled(polygon: np.ndarray, scale: int = 8) -> np.ndarray:
    """(K, 2): the points of a polygon drawn ``scale`` times larger, in pixels of the image."""
    mask = np.zeros((SIZE * scale, SIZE * scale), np.uint8)
    cv2.fillPoly(mask, [np.round(polygon * scale).astype(np.int32)], 1)
    return np.argwhere(mask)[:, ::-1] / scale


def rotated(seed: int) -> Any:
    return draw_scene(np.random.default_rng(seed), SIZE, stretch=STRETCH)


def test_sets_of_boxes_are_what_they_were(roots: dict[str, Path]) -> None:
    """The positions follow from all random numbers that were drawn before; those of the colours are among them."""
    annotations = (roots['boxes'] / 'annotations/instances_train.json').read_bytes()
    assert hashlib.sha256(annotations).hexdigest()[:16] == ANNOTATIONS
    assert sorted(path.name for path in roots['boxes'].iterdir()) == ['annotations', 'shapes.json', 'train', 'val']


def test_sets_with_classes_of_pixels_have_the_images_and_boxes_of_those_without(roots: dict[str, Path]) -> None:
    for path in ('train/00011.jpg', 'val/00003.jpg', 'annotations/instances_val.json'):
        assert (roots['pixels'] / path).read_bytes() == (roots['boxes'] / path).read_bytes()
    assert (roots['rotated'] / 'train/00000.jpg').read_bytes() != (roots['boxes'] / 'train/00000.jpg').read_bytes()


@pytest.mark.parametrize('seed', range(8))
def test_rotated_boxes_are_the_smallest_around_the_drawn_pixels(seed: int) -> None:
    scene = rotated(seed)
    for corners, polygon, label in zip(scene.corners, scene.polygons, scene.labels, strict=True):
        points = filled(polygon).astype(np.float32)
        box = cv2.minAreaRect(points)
        sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
        along, across = (corners[1] - corners[0]) / sides[0], (corners[3] - corners[0]) / sides[1]
        own = (points - corners[0]) @ np.stack([along, across], axis=1)
        np.testing.assert_allclose(own.min(axis=0), 0, atol=0.3)
        np.testing.assert_allclose(own.max(axis=0), sides[:2], atol=0.3)
        # Around an acute triangle the boxes along each of its sides have the same area, around an ellipse nearly so.
        assert sides[0] * sides[1] == pytest.approx(np.prod(box[1]), rel=0.03)
        if CLASSES[label] in ('square', 'cross'):
            distances = np.linalg.norm(corners[:, None] - cv2.boxPoints(box)[None], axis=-1)
            assert distances.min(axis=1).max() < 1
            assert distances.min(axis=0).max() < 1


def test_rotated_boxes_are_long_and_differ_from_upright_ones() -> None:
    shares, ratios = [], []
    for seed in range(20):
        scene = rotated(seed)
        for corners, (x1, y1, x2, y2) in zip(scene.corners, scene.boxes, strict=True):
            sides = sorted(np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)[:2])
            ratios.append(sides[1] / sides[0])
            shares.append(sides[0] * sides[1] / ((x2 - x1) * (y2 - y1)))
        assert (scene.boxes >= 0).all()
        assert (scene.boxes <= SIZE).all()
    assert min(ratios) > 2
    # At 45 degrees a rectangle of 5 by 2 fills 41 % of the upright box around it, an ellipse's box 69 %.
    assert min(shares) < 0.5
    assert np.median(shares) < 0.85


def test_dota_files_hold_the_corners(roots: dict[str, Path]) -> None:
    for index in range(12):
        rows = [row.split() for row in (roots['rotated'] / f'labels_train/{index:05d}.txt').read_text().splitlines()]
        scene = draw_scene(np.random.default_rng([0, 0, index]), SIZE, stretch=STRETCH)
        assert [len(row) for row in rows] == [10] * len(scene.labels)
        np.testing.assert_allclose(np.array([row[:8] for row in rows], float), scene.corners.reshape(-1, 8), atol=0.006)
        assert [row[8:] for row in rows] == [[CLASSES[label], '0'] for label in scene.labels]


def outside(polygon: np.ndarray) -> np.ndarray:
    """(SIZE, SIZE): how far the middle of each pixel lies outside of a polygon, in pixels; 0 inside."""
    x, y = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    points = np.stack([x, y], axis=-1)
    distance, crossings = np.full((SIZE, SIZE), np.inf), np.zeros((SIZE, SIZE), np.int64)
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        edge = end - start
        share = np.clip((points - start) @ edge / (edge @ edge), 0, 1)
        distance = np.minimum(distance, np.linalg.norm(points - start - share[..., None] * edge, axis=-1))
        spans = (start[1] > y) != (end[1] > y)
        crossings += spans & (x < start[0] + (y - start[1]) / (edge[1] or 1) * edge[0])
    return np.where(crossings % 2, 0, distance)


def test_classes_of_pixels_are_those_of_the_annotated_outlines(roots: dict[str, Path]) -> None:
    coco = COCO(roots['pixels'] / 'annotations/instances_train.json')
    found = 0
    for image_id in coco.imgs:
        pixels = cv2.imread(str(roots['pixels'] / f'maps_train/{image_id:05d}.png'), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        assert pixels.shape == (SIZE, SIZE)
        assert pixels.dtype == np.uint8
        expected = np.zeros((SIZE, SIZE), np.int64)
        # In the order of drawing: a later object covers an earlier one.
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image_id)):
            (outline,) = annotation['segmentation']
            distance = outside(np.array(outline).reshape(-1, 2))
            # OpenCV draws the border line, too: an object ends up to 1.5 pixels outside of its outline.
            expected[distance < 1.5] = -1
            expected[distance == 0] = annotation['category_id']
        known = expected >= 0
        np.testing.assert_array_equal(pixels[known], expected[known])
        assert known.mean() > 0.9
        found += len(np.unique(pixels)) > 1
    assert found == 12


def cfg(kind: str, root: Path, **extra: Any) -> dict[str, Any]:
    if kind == 'rotated':
        places = dict(ann_file='labels_train/', data_prefix=dict(img_path='train/'))
        return dict(type='mmcds.RotatedShapesDataset', data_root=str(root), **places, **extra)
    places = dict(data_prefix=dict(img_path='train/', seg_map_path='maps_train/'))
    return dict(type='mmcds.ShapesSegDataset', data_root=str(root), **places, **extra)


def test_mmrotate_loads_them(roots: dict[str, Path]) -> None:
    pytest.importorskip('mmrotate')
    from mmrotate.datasets import DOTADataset
    from mmrotate.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    pipeline = [
        dict(type='mmdet.LoadImageFromFile'),
        dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
        dict(type='ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
        dict(type='mmdet.PackDetInputs'),
    ]
    with DefaultScope.overwrite_default_scope('mmrotate'):
        dataset = DATASETS.build(cfg('rotated', roots['rotated'], pipeline=pipeline))
        assert isinstance(dataset, DOTADataset)
        assert [dataset.get_data_info(index)['img_id'] for index in range(12)] == [f'{i:05d}' for i in range(12)]
        sample = dataset[3]['data_samples']
    scene = draw_scene(np.random.default_rng([0, 0, 3]), SIZE, stretch=STRETCH)
    assert sample.gt_instances.labels.tolist() == scene.labels.tolist()
    boxes = sample.gt_instances.bboxes.tensor.numpy()
    np.testing.assert_allclose(boxes[:, :2], scene.corners.mean(axis=1), atol=0.05)
    for box, corners in zip(boxes, scene.corners, strict=True):
        sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
        np.testing.assert_allclose(sorted(box[2:4]), sorted(sides[:2]), atol=0.1)
        along = corners[1] - corners[0] if sides[0] > sides[1] else corners[3] - corners[0]
        angle = box[4] if box[2] > box[3] else box[4] + np.pi / 2
        assert abs(np.cross(along / np.linalg.norm(along), [np.cos(angle), np.sin(angle)])) < 0.01


def test_mmsegmentation_loads_them(roots: dict[str, Path]) -> None:
    pytest.importorskip('mmseg')
    from mmseg.datasets import BaseSegDataset
    from mmseg.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = DATASETS.build(cfg('pixels', roots['pixels'], pipeline=pipeline))
        assert isinstance(dataset, BaseSegDataset)
        assert len(dataset) == 12
        item = dataset[3]
    assert dataset.metainfo['classes'] == ('background', *CLASSES)
    pixels = item['data_samples'].gt_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(pixels, draw_scene(np.random.default_rng([0, 0, 3]), SIZE).pixels)
    assert item['inputs'].shape == (3, SIZE, SIZE)


@pytest.mark.parametrize(('kind', 'package'), [('rotated', 'mmrotate'), ('pixels', 'mmseg')])
def test_they_make_themselves_and_refuse_a_set_of_another_kind(
    kind: str, package: str, roots: dict[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip(package)
    make = {'train': 3, 'val': 1, 'size': 96}
    assert len(DATASETS.build(cfg(kind, tmp_path / 'set', make=make, pipeline=[]))) == 3
    with pytest.raises(ValueError, match=rf'kind=boxes \(asked {kind}\)'):
        DATASETS.build(cfg(kind, roots['boxes'], pipeline=[]))
    with pytest.raises(ValueError, match=r"make='sizes'.*nearest: size"):
        DATASETS.build(cfg(kind, roots[kind], make={'sizes': 64}, pipeline=[]))


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"kind='pixel'.*nearest: pixels"):
        make_shapes(tmp_path / 'set', kind='pixel')


@pytest.mark.parametrize(
    ('name', 'package', 'extra'), [('RotatedShapesDataset', 'mmrotate', 'rotate'), ('ShapesSegDataset', 'mmseg', 'seg')]
)
def test_without_the_package_the_remedy_is_named(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = datasets._LATE[name]
    monkeypatch.delitem(sys.modules, f'mmcds.datasets.{module}', raising=False)
    for each in (package, f'{package}.datasets'):
        monkeypatch.setitem(sys.modules, each, None)
    # As in a new process, where no class has taken its place yet.
    monkeypatch.delitem(DATASETS.module_dict, name)
    datasets._register_late(name)
    message = rf'^mmcds\.{name} needs {package}.*tools/setup_env.sh --with {extra}$'
    with pytest.raises(ImportError, match=message):
        getattr(datasets, name)
    with pytest.raises(ImportError, match=message):
        DATASETS.build(dict(type=f'mmcds.{name}', data_root='x'))
