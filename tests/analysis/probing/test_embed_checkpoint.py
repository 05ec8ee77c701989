"""Rows, their classes and what they are crops of, for a detector and a classifier."""

import json
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from toys import build

from mmcds import add_cds, remove_cds
from mmcds.analysis.probing.embed_checkpoint import embed_checkpoint
from mmcds.config.load_config import model_config

MODULES = dict(modules={'backbone.layer2': 8, 'backbone.layer4': 32})


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
    # Of an object in the last half pixel, too.
    height = image.shape[0]
    embedded.sources.append((embedded.sources[-1][0], (2.0, height - 0.3, 7.0, height + 4.0)))
    assert np.array_equal(embedded.crop(-1), image[-1:, 2:7])
    stock = embed_checkpoint(remove_cds(detector), tmp_path / 'a.pth', ['backbone.1'], limit=2)
    assert list(stock.found.features) == ['backbone.1']
    assert stock.found.embeddings == {}
    assert {index for index, _ in stock.sources} == {0, 5}


def test_a_classifier_sees_what_it_was_trained_on(classifier: Config, tmp_path: Path) -> None:
    """Normalised images, also where the preprocessor stands beside the model; stages inside the backbone."""
    cfg = add_cds(classifier, taps=['backbone.layer2', 'backbone.layer4'], channels=MODULES)
    cfg.data_preprocessor = cfg.model.pop('data_preprocessor')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model: Any = MODELS.build(model_config(cfg))
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'a.pth')
    embedded = embed_checkpoint(cfg, tmp_path / 'a.pth')
    assert embedded.found.labels.tolist() == [0] * 6 + [1] * 6
    assert list(embedded.found.features) == ['backbone.layer2', 'backbone.layer4']
    image = mmcv.imread(tmp_path / 'test/class1/0.png')
    inputs = (torch.from_numpy(image).permute(2, 0, 1)[None].float() - 120) / 60
    assert np.array_equal(embedded.crop(6), image[..., ::-1])
    model.eval()
    with torch.no_grad():
        stages = model.backbone(inputs)
        crop = stages[1]
        embedding = torch.nn.functional.normalize(model.neck.cds.projectors['backbone_layer2'](crop), dim=1)
    torch.testing.assert_close(embedded.found.features['backbone.layer2'][6], crop.mean((2, 3))[0])
    torch.testing.assert_close(embedded.found.embeddings['backbone.layer2'][6], embedding[0])
    with pytest.raises(ValueError, match=r"^taps='backbone\.layer9' is not known; nearest: backbone\.layer"):
        embed_checkpoint(cfg, tmp_path / 'a.pth', ['backbone.layer9'])
