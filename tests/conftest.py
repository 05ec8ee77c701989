"""Fixtures that the tests of the core share; plain functions are in toys.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from toys import make_toy_data, toy_config

import mmcds  # noqa: F401, before anything imports torchvision


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    """What a Runner leaves behind for the whole process (logger, message hub, default scope) ends with its test."""
    managers: tuple[Any, ...] = (MMLogger, MessageHub, DefaultScope)
    before = [manager._instance_dict.copy() for manager in managers]
    yield
    for manager, instances in zip(managers, before, strict=True):
        manager._instance_dict.clear()
        manager._instance_dict.update(instances)


@pytest.fixture
def mmdet_scope() -> Iterator[None]:
    """Detectors are built in mmdet's scope, and what was the scope before is so again after it."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope='session')
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of 64x64 px with one to three boxes in COCO's format."""
    return make_toy_data(tmp_path_factory.mktemp('toy'))


@pytest.fixture
def stock_config(toy_data: Path, tmp_path: Path) -> Config:
    """A whole config of a tiny Faster R-CNN, without CDS."""
    return toy_config(toy_data, tmp_path / 'work')
