"""Rows, their classes and what they are crops of, for a detector and a classifier; the tool from end to end."""

import json
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from toys import build

from mmcds import add_cds, remove_cds
from mmcds.evaluation.embed_checkpoint import embed_checkpoint


@pytest.fixture
def detector(stock_config: Config) -> Config:
    """Tested on what it trains on, at twice the size."""
    test = stock_config.train_dataloader.to_dict()
    test['dataset']['pipeline'] = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(128, 128), keep_ratio=True),
        dict(type='PackDetInputs'),
    ]
    test['dataset']['test_mode'] = True
    stock_config.test_dataloader = test
    return add_cds(stock_config, taps=['backbone.1', 'neck.0'])


def test_every_row_knows_its_object(detector: Config, toy_data: Path, tmp_path: Path) -> None:
    torch.save({'state_dict': build(detector).state_dict()}, tmp_path / 'a.pth')
    embedded = embed_checkpoint(detector, tmp_path / 'a.pth')
    content = json.loads((toy_data / 'train.json').read_text())
    assert len(embedded.found.labels) == len(embedded.sources) == len(content['annotations'])
    assert embedded.classes == ['a', 'b', 'c', 'd']
    assert list(embedded.found.features) == list(embedded.found.embeddings) == ['backbone.1', 'neck.0']
    for row, annotation in enumerate(content['annotations']):
        x, y, w, h = annotation['bbox']
        assert embedded.sources[row] == (annotation['image_id'], (x, y, x + w, y + h))
        assert int(embedded.found.labels[row]) == annotation['category_id'] - 1
        image = mmcv.imread(toy_data / f'images/{annotation["image_id"]}.png', channel_order='rgb')
        assert np.array_equal(embedded.crop(row), image[y : y + h, x : x + w])
    stock = embed_checkpoint(remove_cds(detector), tmp_path / 'a.pth', ['backbone.1'], limit=2)
    assert list(stock.found.features) == ['backbone.1']
    assert stock.found.embeddings == {}
    assert {index for index, _ in stock.sources} == {0, 5}
