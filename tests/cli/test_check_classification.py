"""What is said of a classification data set that is not there, or has another number of classes than the head."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

pytest.importorskip('mmpretrain')

from mmcds.cli.check_classification import SOURCES, check_classification
from mmcds.config.load_config import load_config, set_data_root

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
        if path.startswith('meta/'):
            place.write_text('0.JPEG 0\n')
            (root / place.stem).mkdir(exist_ok=True)
            (root / place.stem / '0.JPEG').touch()


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


def folders(root: Path, **splits: str) -> Config:
    """A classifier on class folders: ``train='cat dog'``."""
    for split, names in splits.items():
        for name in names.split():
            (root / split / name).mkdir(parents=True)
            (root / split / name / '0.jpg').touch()
    loaders = {
        f'{split}_dataloader': {
            'dataset': {'type': 'CustomDataset', 'data_root': str(root), 'data_prefix': split, 'pipeline': PIPELINE}
        }
        for split in splits
    }
    return Config({'default_scope': 'mmpretrain', 'model': {'head': {'num_classes': 3}}, **loaders})


PIPELINE = [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}]


@pytest.mark.parametrize(
    ('val', 'parts'),
    [
        ('cat dog', ["'cat' is label 1 in train_dataloader.dataset", 'label 0 in val_dataloader.dataset', 'lacks ant']),
        ('.ipynb_checkpoints ant cat dog', ["'.ipynb_checkpoints' is a folder of", "'ant' is label 0 in train"]),
        ('ant bee cat dog', ["/train' lacks bee"]),
    ],
)
def test_class_folders_that_number_a_class_otherwise(tmp_path: Path, val: str, parts: list[str]) -> None:
    cfg = folders(tmp_path, train='ant cat dog', val=val)
    with pytest.raises(ValueError, match='empty folder counts') as error:
        check_classification(cfg)
    assert all(part in str(error.value) for part in parts), error.value
    labels = {
        info['img_path'].split('/')[-2]: info['gt_label'] for info in mmpretrain_dataset(cfg.val_dataloader.dataset)
    }
    assert labels['cat'] != 1 or labels['dog'] != 2  # what mmpretrain makes of it


def mmpretrain_dataset(cfg: Any) -> list[dict]:
    from mmpretrain.datasets import CustomDataset

    return CustomDataset(
        **{key: value for key, value in cfg.items() if key not in ('type', 'pipeline')}
    ).load_data_list()


@pytest.mark.parametrize('val', ['ant cat dog', 'ant cat', 'ant', 'ant cat dog eel'])
def test_class_folders_with_the_same_numbers_pass(tmp_path: Path, val: str) -> None:
    assert check_classification(folders(tmp_path, train='ant cat dog', val=val, test='bee eel')) == []


def test_test_folders_are_compared_with_the_training_s_or_the_checkpoint_s(tmp_path: Path) -> None:
    cfg = folders(tmp_path, train='ant cat dog', test='cat dog')
    with pytest.raises(ValueError, match="'cat' is label 1 in train_dataloader"):
        check_classification(cfg, ['test_dataloader'])
    with pytest.raises(ValueError, match="'cat' is label 1 in train_dataloader"):
        check_classification(cfg)
    cfg.train_dataloader.dataset.data_root = str(tmp_path / 'gone')
    with pytest.raises(ValueError, match="'cat' is label 1 in the checkpoint"):
        check_classification(cfg, ['test_dataloader'], lambda: ('ant', 'cat', 'dog'))
    assert check_classification(cfg, ['test_dataloader'], lambda: ('cat', 'dog')) == []
    assert check_classification(cfg, ['test_dataloader'], lambda: None) == []
    # Classes that the config names say nothing of folders.
    cfg.train_dataloader.dataset.classes = ['ant', 'cat', 'dog']
    assert check_classification(cfg, ['test_dataloader'], lambda: ('ant', 'cat', 'dog')) == []


def listing(root: Path, ann_file: str, lines: str) -> Config:
    (root / 'images').mkdir(exist_ok=True)
    for name in ('0.jpg', '1.jpg'):
        (root / 'images' / name).touch()
    (root / ann_file).write_text(lines)
    dataset: dict[str, Any] = {
        'data_root': str(root),
        'data_prefix': 'images',
        'ann_file': ann_file,
        'pipeline': PIPELINE,
    }
    kind = 'CustomDataset' if ann_file.endswith('.txt') else 'mmpretrain.BaseDataset'
    if kind == 'mmpretrain.BaseDataset':
        dataset['data_prefix'] = {'img_path': 'images'}
    return Config({'default_scope': 'mmpretrain', 'train_dataloader': {'dataset': {'type': kind, **dataset}}})


def test_images_of_an_annotation_file_are_looked_for(tmp_path: Path) -> None:
    cfg = listing(tmp_path, 'train.txt', '0.jpg 0\n1.jpg 1\n2.jpg 1\n')
    (warning,) = check_classification(cfg)
    assert f"1 of 3 images do not exist (first: '{tmp_path}/images/2.jpg')" in warning
    cfg.val_dataloader = copy.deepcopy(cfg.train_dataloader)
    with pytest.raises(FileNotFoundError, match=r'^val_dataloader\.dataset: 1 of 3 images .* evaluation stops'):
        check_classification(cfg)
    cfg.val_dataloader.dataset.indices = 2
    assert len(check_classification(cfg)) == 1
    cfg.val_dataloader.dataset.pipeline[0].backend_args = {'backend': 'petrel'}
    cfg.val_dataloader.dataset.indices = None
    assert len(check_classification(cfg)) == 1


def test_an_annotation_file_without_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^train_dataloader\.dataset: ann_file '.*train\.txt' lists no images"):
        check_classification(listing(tmp_path, 'train.txt', ''))


def test_annotation_files_that_name_their_classes_in_another_order(tmp_path: Path) -> None:
    def content(*classes: str) -> str:
        return json.dumps({'metainfo': {'classes': classes}, 'data_list': [{'img_path': '0.jpg', 'gt_label': 0}]})

    cfg = listing(tmp_path, 'train.json', content('cat', 'dog'))
    cfg.val_dataloader = listing(tmp_path, 'val.json', content('dog', 'cat')).train_dataloader
    with pytest.raises(ValueError, match=r"'dog' is label 1 in train_.*label 0 in val_.*they are in another order"):
        check_classification(cfg)
    (tmp_path / 'val.json').write_text(content('cat', 'dog'))
    assert check_classification(cfg) == []
