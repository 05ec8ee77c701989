"""What is said of a classification data set that is not there, or has another number of classes than the head."""

import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

pytest.importorskip('mmpretrain')

from mmcds.datasets.check_classification import SOURCES, check_classification
from mmcds.utils.config import load_config, set_data_root

ROOT = Path(__file__).resolve().parents[2] / 'configs' / 'classification'
FOLDERS = {
    'CIFAR10': 'cifar10/resnet18',
    'CIFAR100': 'cifar100/resnet18',
    'ImageNet': 'imagenet/resnet18',
    'CUB': 'cub/resnet50',
    'StanfordCars': 'cars/resnet50',
    'Flowers102': 'flowers/resnet50',
    'StanfordDogs': 'dogs/resnet50',
    'FGVCAircraft': 'aircraft/resnet50',
}


def config(name: str, root: Path) -> Config:
    cfg = load_config(str(ROOT / f'{FOLDERS[name]}.py'))
    set_data_root(cfg, str(root))
    return cfg


def lay_out(root: Path, paths: tuple[str, ...]) -> None:
    for path in paths:
        place = root / path.replace('*', 'n01440764')
        if path.endswith('/') or not place.suffix:
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()


def test_every_source_has_a_config() -> None:
    assert set(FOLDERS) == set(SOURCES)


@pytest.mark.parametrize('name', FOLDERS)
def test_a_missing_data_set(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        check_classification(config(name, tmp_path / 'none'))
    message = str(error.value)
    assert message.startswith(f'train_dataloader.dataset: {name} is not there')
    assert SOURCES[name].url in message
    assert f"'{tmp_path}/none/" in message
    assert 'data_root=PATH' in message
    assert '\n' not in message
    assert ('train_dataloader.dataset.download=True' in message) == name.startswith('CIFAR')


@pytest.mark.parametrize('name', FOLDERS)
def test_each_layout_is_accepted(name: str, tmp_path: Path) -> None:
    cfg = config(name, tmp_path)
    splits = [cfg[loader].dataset.split for loader in ('train_dataloader', 'val_dataloader')]
    count = len(SOURCES[name].layouts('train'))
    for i in range(count):
        root = tmp_path / str(i)
        for split in splits:
            lay_out(root, SOURCES[name].layouts(split)[i])
        check_classification(config(name, root))


def test_one_missing_file_is_named(tmp_path: Path) -> None:
    lay_out(tmp_path, SOURCES['CUB'].layouts('train')[0])
    (tmp_path / 'image_class_labels.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r'image_class_labels\.txt'):
        check_classification(config('CUB', tmp_path))


def test_inside_a_wrapper(tmp_path: Path) -> None:
    cfg = load_config(str(ROOT / 'cifar10' / 'resnet18_semi10.py'))
    set_data_root(cfg, str(tmp_path / 'none'))
    with pytest.raises(FileNotFoundError, match=re.escape('train_dataloader.dataset.dataset: CIFAR10 is not there')):
        check_classification(cfg)


@pytest.mark.parametrize(
    'change',
    [dict(download=True), dict(data_root='s3://bucket/cifar'), dict(type='CustomDataset', download=None)],
)
def test_what_is_left_alone(change: dict[str, Any], tmp_path: Path) -> None:
    cfg = config('CIFAR10', tmp_path / 'none')
    for loader in ('train_dataloader', 'val_dataloader'):
        cfg[loader].dataset.update(change)
    check_classification(cfg)


@pytest.mark.parametrize('paradigm', ['', '_dsn'])
def test_another_number_of_classes(paradigm: str) -> None:
    cfg = load_config(str(ROOT / 'cifar100' / f'resnet18{paradigm}.py'))
    part = 'neck' if paradigm else 'head'
    cfg.model[part].num_classes = 10
    with pytest.raises(ValueError, match=rf'model.{part}.num_classes=10 but the data set has 100 classes \(apple, .*'):
        check_classification(cfg)


def test_classes_of_the_user_s_own() -> None:
    cfg = load_config(str(ROOT / 'dogs' / 'resnet50.py'))
    cfg.train_dataloader.dataset.metainfo = dict(classes=('cat', 'dog'))
    with pytest.raises(ValueError, match=r'model.head.num_classes=120 but the data set has 2 classes \(cat, dog\)'):
        check_classification(cfg)


def test_the_test_data_are_looked_at_where_asked(tmp_path: Path) -> None:
    cfg = config('CUB', tmp_path / 'none')
    cfg.train_dataloader = cfg.val_dataloader = None
    check_classification(cfg)
    with pytest.raises(FileNotFoundError, match=r'^test_dataloader\.dataset: CUB is not there, looked for '):
        check_classification(cfg, ['test_dataloader'])
