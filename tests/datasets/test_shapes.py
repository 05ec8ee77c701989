"""The generated shapes: their geometry, their files and their data set."""

import json
import multiprocessing
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmcds.datasets import ShapesDataset
from mmcds.datasets.scenes import CLASSES, draw_scene, shape_polygon
from mmcds.datasets.shapes import STAMP, is_complete, make_shapes
from mmcds.registry import DATASETS


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()}


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shapes(tmp_path_factory.mktemp('shapes') / 'set', train=12, val=4)


@pytest.mark.parametrize('label', range(len(CLASSES)))
def test_polygons_have_about_the_area_of_their_circle(label: int) -> None:
    polygon = shape_polygon(label, (50, 40), 20, 0.3)
    # Corners of a polygon of n sides and circumradius R enclose n/2 R^2 sin(2 pi / n).
    n, radius = {'circle': (32, 20.0), 'square': (4, 24.0), 'triangle': (3, 27.0), 'cross': (0, 0.0)}[CLASSES[label]]
    arm, half = 1.2 * 20, 0.36 * 20
    expected = n / 2 * radius**2 * np.sin(2 * np.pi / n) if n else (2 * arm) * (2 * half) * 2 - (2 * half) ** 2
    assert cv2.contourArea(polygon) == pytest.approx(expected, rel=1e-4)
    assert 0.7 < expected / (np.pi * 20**2) < 1.1


@pytest.mark.parametrize('seed', range(8))
def test_boxes_are_those_of_the_masks_and_inside_the_image(seed: int) -> None:
    scene = draw_scene(np.random.default_rng(seed))
    assert scene.image.shape == (160, 160, 3)
    assert scene.image.dtype == np.uint8
    assert 1 <= len(scene.boxes) == len(scene.labels) == len(scene.polygons) <= 6
    assert scene.boxes.dtype == np.float32
    assert (scene.boxes >= 0).all()
    assert (scene.boxes <= 160).all()
    for box, polygon in zip(scene.boxes, scene.polygons, strict=True):
        # Rendered eight times larger: the extent is exact to an eighth of a pixel.
        mask = np.zeros((1280, 1280), np.uint8)
        cv2.fillPoly(mask, [np.round(polygon * 8).astype(np.int32)], 1)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        extent = np.array([columns[0], rows[0], columns[-1], rows[-1]]) / 8
        np.testing.assert_allclose(box, extent, atol=0.15)


def test_objects_differ_from_what_is_under_them() -> None:
    for seed in range(10):
        scene = draw_scene(np.random.default_rng(seed), max_objects=1)
        mask = np.zeros((160, 160), np.uint8)
        cv2.fillPoly(mask, [np.round(scene.polygons[0]).astype(np.int32)], 1)
        ring = cv2.dilate(mask, np.ones((15, 15), np.uint8)) - cv2.dilate(mask, np.ones((5, 5), np.uint8))
        difference = scene.image[mask == 1].mean(axis=0) - scene.image[ring == 1].mean(axis=0)
        assert np.abs(difference).max() > 30


def test_a_scene_depends_on_its_generator_alone() -> None:
    first, again, other = (draw_scene(np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert (first.image != other.image).any()


def test_coco_reads_it_and_its_masks_fill_its_boxes(root: Path) -> None:
    coco = COCO(root / 'annotations' / 'instances_train.json')
    assert [coco.cats[i]['name'] for i in sorted(coco.cats)] == list(CLASSES)
    assert len(coco.imgs) == 12
    for annotation in coco.loadAnns(coco.getAnnIds()):
        x, y, width, height = annotation['bbox']
        rows, columns = np.nonzero(coco.annToMask(annotation))
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose([x, y, x + width, y + height], found, atol=1.5)
        assert len(rows) == pytest.approx(annotation['area'], rel=0.15)
        assert (root / 'train' / coco.imgs[annotation['image_id']]['file_name']).is_file()


def test_more_images_begin_with_the_same_ones_and_splits_differ(root: Path, tmp_path: Path) -> None:
    more = make_shapes(tmp_path / 'more', train=14, val=4)
    name = 'train/00011.jpg'
    assert (more / name).read_bytes() == (root / name).read_bytes()
    assert (more / 'val/00000.jpg').read_bytes() != (more / 'train/00000.jpg').read_bytes()
    other_seed = make_shapes(tmp_path / 'seed', train=1, val=1, seed=1)
    assert (other_seed / 'train/00000.jpg').read_bytes() != (root / 'train/00000.jpg').read_bytes()


def test_a_second_call_writes_nothing(root: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    make_shapes(root, train=12, val=4)
    assert {p: p.stat().st_mtime_ns for p in root.rglob('*')} == before


@pytest.mark.parametrize('damage', ['missing', 'cut'])
def test_a_damaged_set_is_made_again(root: Path, tmp_path: Path, damage: str) -> None:
    made = make_shapes(tmp_path / 'set', train=12, val=4)
    if damage == 'missing':
        (made / 'val/00002.jpg').unlink()
    else:
        path = made / 'annotations/instances_val.json'
        path.write_text(path.read_text()[:100])
    assert not is_complete(made)
    make_shapes(made, train=12, val=4)
    assert contents(made) == contents(root)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['.set.lock', 'set']


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train' / 'mine.jpg').write_bytes(b'holiday')
    with pytest.raises(FileExistsError, match='choose another folder'):
        make_shapes(tmp_path, train=1, val=1)
    assert (tmp_path / 'train' / 'mine.jpg').read_bytes() == b'holiday'


def test_other_arguments_and_wrong_ones_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'seed=0 \(asked 5\)'):
        make_shapes(root, train=12, val=4, seed=5)
    for wrong in ({'train': 0}, {'val': -1}, {'seed': -1}, {'size': 10}, {'size': 160.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            make_shapes(tmp_path / 'new', **wrong)
    assert not (tmp_path / 'new').exists()


def test_processes_that_start_together_make_one_set(root: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=make_shapes, args=(tmp_path / 'set', 12, 4)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert contents(tmp_path / 'set') == contents(root)


def dataset_cfg(root: Path, **extra: object) -> dict:
    return {
        'type': 'mmcds.ShapesDataset',
        'data_root': str(root),
        'ann_file': 'annotations/instances_train.json',
        'data_prefix': {'img': 'train/'},
        **extra,
    }


def test_the_data_set_makes_itself_when_it_is_read_not_when_it_is_built(tmp_path: Path) -> None:
    make = {'train': 3, 'val': 1, 'size': 96}
    dataset = DATASETS.build(dataset_cfg(tmp_path / 'set', make=make, lazy_init=True))
    assert isinstance(dataset, ShapesDataset)
    assert not (tmp_path / 'set').exists()
    dataset.full_init()
    assert len(dataset) == 3
    written = json.loads((tmp_path / 'set/annotations/instances_train.json').read_text())
    info = dataset.get_data_info(0)
    first = [a for a in written['annotations'] if a['image_id'] == info['img_id']]
    x, y, width, height = first[0]['bbox']
    assert info['instances'][0]['bbox'] == [x, y, x + width, y + height]
    assert info['instances'][0]['bbox_label'] == first[0]['category_id'] - 1
    assert len(dataset.metainfo['palette']) == len(dataset.metainfo['classes']) == 4


def test_the_data_set_takes_what_is_there_unless_told_otherwise(root: Path) -> None:
    assert len(DATASETS.build(dataset_cfg(root))) == 12
    with pytest.raises(ValueError, match=r'train=12 \(asked 13\)'):
        DATASETS.build(dataset_cfg(root, make={'train': 13, 'val': 4}))
    with pytest.raises(ValueError, match=r"make='sizes'.*nearest: size"):
        DATASETS.build(dataset_cfg(root, make={'sizes': 64}))
    with pytest.raises(ValueError, match='data_root'):
        DATASETS.build(dataset_cfg(Path('x')) | {'data_root': ''})
    assert json.loads((root / STAMP).read_text())['train'] == 12
