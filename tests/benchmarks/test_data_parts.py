"""Folds and fractions of BCCD, and the lists of the groceries, on made-up sets."""

from pathlib import Path

import pytest

from benchmarks.data.bccd_parts import parts_of
from benchmarks.data.grocery import list_images


def content(images: int) -> dict:
    annotations = [{'id': 10 * i + k, 'image_id': i} for i in range(images) for k in range(i % 3)]
    return {'images': [{'id': i} for i in range(images)], 'annotations': annotations, 'categories': ['x']}


def ids(part: dict) -> list[int]:
    return [image['id'] for image in part['images']]


def test_folds_and_fractions() -> None:
    train, val = content(40), content(7)
    parts = parts_of(train, val)
    learned, judged, folder = parts.pop('screen')
    assert folder == 'train'
    assert sorted(ids(learned) + ids(judged)) == list(range(40))
    assert len(ids(judged)) == 8
    assert ids(judged) != sorted(ids(judged))
    smaller: list[int] = []
    for name, (part, theirs, where) in parts.items():
        assert (theirs, where) == (val, 'val')
        assert len(ids(part)) == 40 * int(name) // 100
        assert ids(part)[: len(smaller)] == smaller  # one inside the next
        smaller = ids(part)
        assert {each['image_id'] for each in part['annotations']} <= set(ids(part))
        assert len(part['annotations']) == sum(i % 3 for i in ids(part))
        assert part['categories'] == ['x']
    assert parts_of(train, val) == {'screen': (learned, judged, folder), **parts}


def test_a_class_is_the_prefix_of_its_folder(tmp_path: Path) -> None:
    for name in ('val/05_Avocado/b.jpg', 'val/05_Avocado/a.jpg', 'val/80_Zucchini/c.jpg', 'train/01_X/d.jpg'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list_images(tmp_path, 'val') == [
        'val/05_Avocado/a.jpg 5',
        'val/05_Avocado/b.jpg 5',
        'val/80_Zucchini/c.jpg 80',
    ]


@pytest.mark.parametrize('name', ['stock', 'cds'])
def test_pretraining_is_the_recipe_with_less(name: str) -> None:
    from mmcds.config.load_config import load_config

    cfg = load_config(f'benchmarks/experiments/pretraining/{name}.py')
    full = load_config(f'configs/classification/imagenet/resnet18{"" if name == "stock" else "_cds"}.py')
    assert cfg.model.type == full.model.type
    assert cfg.model.neck.type == full.model.neck.type
    assert cfg.model.backbone.base_channels == 32
    if name == 'cds':
        assert {**cfg.model.neck, 'channels': 0} == {**full.model.neck, 'channels': 0}
        ours_, full_ = ([step['type'] for step in each.train_dataloader.dataset.pipeline] for each in (cfg, full))
        assert ours_ == full_
    # The detector's backbone, weight for weight.
    from mmdet.models.backbones import ResNet as Detectors
    from mmpretrain.models.backbones import ResNet as Classifiers

    detector = load_config('configs/bccd/retinanet_r18_bccd.py').model.backbone
    theirs = Detectors(**{k: v for k, v in detector.items() if k != 'type'}).state_dict()
    ours = Classifiers(**{k: v for k, v in cfg.model.backbone.items() if k != 'type'}).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
