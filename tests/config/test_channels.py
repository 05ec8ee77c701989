"""Channels found without an image against those of the models' own forward."""

from typing import Any

import pytest
import torch
from toys import build, toy_model

from mmcds.config.channels import image_channels, probe_channels


@pytest.mark.parametrize('name', ['faster_rcnn', 'retinanet'])
def test_detectors(name: str) -> None:
    cfg = toy_model(name)
    model: Any = build(cfg).eval()
    features = model.backbone(torch.zeros(1, 3, 64, 64))
    expected = dict(backbone=[f.shape[1] for f in features], neck=[f.shape[1] for f in model.neck(features)])
    before = cfg.model.to_dict()
    assert probe_channels(cfg.model) == expected == dict(backbone=[16, 32, 64, 128], neck=[16] * 5)
    assert cfg.model.to_dict() == before


def test_no_neck_a_list_of_necks_and_a_vector() -> None:
    cfg = toy_model().model
    cfg.neck = [cfg.neck, dict(type='BFP', in_channels=16, num_levels=5, refine_level=2)]
    assert probe_channels(cfg)['neck'] == [16] * 5
    cfg.neck = None
    assert probe_channels(cfg) == dict(backbone=[16, 32, 64, 128])
    pytest.importorskip('mmpretrain')
    classifier = dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18, out_indices=(1, 3)),
        neck=dict(type='GlobalAveragePooling'),
    )
    assert probe_channels(classifier, 'mmpretrain') == dict(backbone=[128, 512], neck=[128, 512])


def test_images_of_one_channel() -> None:
    """Where the backbone says so, and where only trying tells."""
    cfg = toy_model().model
    cfg.backbone.in_channels = 1
    assert probe_channels(cfg)['backbone'] == [16, 32, 64, 128]
    assert image_channels(cfg) == [1, 3]
    assert image_channels(dict(backbone=dict(type='X'))) == [3, 1]


def test_leaves_torch_as_it_was() -> None:
    grad, device, state = torch.is_grad_enabled(), torch.get_default_device(), torch.get_rng_state()
    probe_channels(toy_model().model)
    assert (torch.is_grad_enabled(), torch.get_default_device()) == (grad, device)
    # On 'meta' nothing is drawn.
    assert torch.equal(torch.get_rng_state(), state)


def test_mistakes_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"^model 'Own' has no 'backbone' in its config, whose stages CDS would superv"
    ):
        probe_channels(dict(type='Own'))
    with pytest.raises(
        ValueError,
        match=r"^the backbone 'NoSuchNet' .*cannot be called with an image of 256x256 "
        r'to read its channels \(.*NoSuchNet.*\); '
        r'give channels=dict\(backbone=\[\.\.\.\], neck=\[\.\.\.\]\) to add_cds$',
    ):
        probe_channels(dict(type='Own', backbone=dict(type='NoSuchNet')))
