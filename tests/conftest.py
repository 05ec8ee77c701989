"""Fixtures that the tests of the core share; plain functions are in toys.py."""

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cached_yaml  # noqa: F401, registers its handler
import cv2
import numpy as np
import pytest
import torch
from environments import SITE, layered_venv
from hypothesis import settings
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from preloaded import Preloaded
from toys import make_toy_data, toy_config

import mmcds  # noqa: F401, before anything imports torchvision

# hypothesis, too, tries the same examples in each session.
settings.register_profile('same', derandomize=True)
settings.load_profile('same')

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: of several processes none is left alone with a long file at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker('slow') or 'smoke' in item.path.parts)
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    """What a Runner leaves behind for the whole process (logger, message hub, default scope) ends with its test."""
    managers: tuple[Any, ...] = (MMLogger, MessageHub, DefaultScope)
    before = [manager._instance_dict.copy() for manager in managers]
    yield
    for manager, instances in zip(managers, before, strict=True):
        manager._instance_dict.clear()
        manager._instance_dict.update(instances)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """Every test draws the same random numbers in each session, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def mmdet_scope() -> Iterator[None]:
    """Detectors are built in mmdet's scope, and what was the scope before is so again after it."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope='session')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mmcds' wheel, built from a copy, since a build leaves folders behind."""
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'
    source.mkdir()
    names = ['mmcds', 'configs', 'tools', 'setup.py', 'pyproject.toml', 'README.md', 'model-index.yml', 'LICENSE']
    subprocess.run(['cp', '-R', *(str(ROOT / name) for name in names), str(source)], check=True)
    pip = [sys.executable, '-m', 'pip', '-q', 'wheel', '--no-deps', '--no-build-isolation', '--no-index']
    subprocess.run([*pip, '-w', str(folder), str(source)], check=True, capture_output=True)
    (path,) = folder.glob('*.whl')
    return path


@pytest.fixture(scope='session')
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment where the wheel is installed, and the repository is not seen."""
    python = layered_venv(tmp_path_factory.mktemp('venv') / 'venv', SITE)
    pip = [sys.executable, '-m', 'pip', '--python', str(python), '-q', 'install', '--no-deps', '--no-index']
    subprocess.run([*pip, str(wheel)], check=True)
    return python


@pytest.fixture(scope='session')
def preloaded() -> Iterator[Preloaded]:
    """Runs commands of the repository in processes that need not import torch and mmdet again."""
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    with Preloaded(sys.executable, ROOT, env) as server:
        yield server


@pytest.fixture(scope='session')
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of 64x64 px with one to three boxes in COCO's format."""
    return make_toy_data(tmp_path_factory.mktemp('toy'))


@pytest.fixture
def stock_config(toy_data: Path, tmp_path: Path) -> Config:
    """A whole config of a tiny Faster R-CNN, without CDS."""
    return toy_config(toy_data, tmp_path / 'work')


@pytest.fixture
def classifier(tmp_path: Path) -> Config:
    """A stock config of mmpretrain on a folder of two classes, dark and bright."""
    pytest.importorskip('mmpretrain')
    random = np.random.default_rng(0)
    for split in ('train', 'test'):
        for label, level in enumerate((40, 200)):
            folder = tmp_path / split / f'class{label}'
            folder.mkdir(parents=True)
            for i in range(6):
                image = np.clip(random.normal(level, 20, size=(32, 32, 3)), 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f'{i}.png'), image)
    pipelines = {
        'train': [dict(type='LoadImageFromFile'), dict(type='RandomCrop', crop_size=8), dict(type='PackInputs')],
        'test': [dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    }
    loaders: dict[str, Any] = {
        f'{split}_dataloader': dict(
            batch_size=5,
            num_workers=0,
            dataset=dict(type='CustomDataset', data_prefix=str(tmp_path / split), pipeline=pipeline),
        )
        for split, pipeline in pipelines.items()
    }
    backbone = dict(type='ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4, out_indices=(0, 1, 2, 3))
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(
                type='ImageClassifier',
                data_preprocessor=dict(mean=[120.0] * 3, std=[60.0] * 3),
                backbone=backbone,
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=2, in_channels=32),
            ),
            **loaders,
        )
    )
