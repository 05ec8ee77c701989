"""Channels found without an image against those of the models' own forward."""

from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn
from toys import build, toy_model

from mmcds.apis import add_cds
from mmcds.config.channels import image_channels, probe_channels, takes_one_size
from mmcds.models.step_data import Tap, feature_of
from mmcds.utils.tree import as_map


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
        match=r"^the backbone 'FourChannels' with its neck cannot be called with an image of 256x256 "
        r'to read its channels \(.*expected .* to have 4 channels.*\); '
        r'give channels=dict\(backbone=\[\.\.\.\], neck=\[\.\.\.\]\) to add_cds$',
    ):
        probe_channels(dict(type='Own', backbone=dict(type='FourChannels')))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            {'backbone.type': 'ResNett'},
            r"^model\.backbone of type 'ResNett' cannot be built: ResNett is not in the mmdet::model registry; near",
        ),
        (
            {'neck.type': 'FPNN'},
            r"^model\.neck of type 'FPNN' cannot be built: FPNN is not in the mmdet::model registry; nearest: .*FPN",
        ),
        (
            {'neck.out_chanels': 16},
            r"^model\.neck of type 'FPN' cannot be built: .*unexpected keyword argument 'out_chanels'$",
        ),
        ({'neck.in_channels': 16}, r"^model\.neck of type 'FPN' cannot be built: AssertionError$"),
        ({'neck': [dict(type='FPNN')]}, r"^model\.neck\[0\] of type 'FPNN' cannot be built: FPNN is not in the"),
        ({'neck': 'FPN'}, r"^model\.neck of type 'FPN' cannot be built: cfg should be a dict"),
        ({'backbone': 'ResNet'}, r"^model\.backbone='ResNet' is not a config; give dict\(type='ResNet', \.\.\.\)$"),
    ],
)
def test_what_cannot_be_built_is_named(changes: dict[str, Any], message: str) -> None:
    cfg = toy_model()
    cfg.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    with pytest.raises(ValueError, match=message) as caught:
        probe_channels(cfg.model)
    assert '\n' not in str(caught.value)


@MODELS.register_module()
class FourChannels(nn.Conv2d):
    """Cannot be called with the usual images."""

    def __init__(self) -> None:
        super().__init__(4, 8, 3)


@MODELS.register_module()
class MoreInTraining(BaseModule):
    """Returns a second map, for an auxiliary head, in training only, as PIDNet does."""

    def __init__(self, norm: str = 'BN') -> None:
        super().__init__()
        self.norm = nn.SyncBatchNorm(5) if norm == 'SyncBN' else nn.BatchNorm2d(5)
        self.conv = nn.Conv2d(3, 5, 3, stride=16)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        feature = self.norm(self.conv(inputs))
        return (feature[:, :2], feature) if self.training else (feature,)


@MODELS.register_module()
class OneSize(BaseModule):
    """Adds a map of positions, and so takes images of one size."""

    def __init__(self, img_size: Any) -> None:
        super().__init__()
        height, width = img_size if isinstance(img_size, tuple) else (img_size, img_size)
        self.positions = nn.Parameter(torch.zeros(1, 3, height, width))

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        return (inputs + self.positions,)


@pytest.mark.parametrize('norm', ['BN', 'SyncBN'])
def test_outputs_are_those_of_training(norm: str) -> None:
    model = dict(type='Own', backbone=dict(type='MoreInTraining', norm=norm))
    assert probe_channels(model) == dict(backbone=[2, 5])
    assert probe_channels(model, training=False) == dict(backbone=[5])


@pytest.mark.parametrize('size', [320, (96, 160)])
def test_a_backbone_of_one_size_is_called_with_it(size: Any) -> None:
    model = dict(type='Own', backbone=dict(type='OneSize', img_size=size))
    assert probe_channels(model) == dict(backbone=[3])
    assert takes_one_size(model)
    assert 'view' not in add_cds(Config(dict(model=model))).model.neck
    # A second view of half the side could not be made.
    two = add_cds(Config(dict(model=model)), concat=True)
    assert two.model.neck.view == dict(type='PhotometricView')
    given = dict(type='SingleView')
    assert add_cds(Config(dict(model=model)), view=given).model.neck.view == given
    assert not takes_one_size(toy_model().model)
    assert 'view' not in add_cds(toy_model()).model.neck


def test_a_map_with_a_class_token_is_a_map() -> None:
    feature, token = torch.zeros(2, 7, 4, 4), torch.zeros(2, 7)
    assert as_map([feature, token]) is feature
    tap = Tap('backbone', 0, 7, 0)
    assert feature_of(tap, {'backbone': ([feature, token],)}) is feature
    # Two maps are no such pair.
    assert isinstance(as_map([feature, feature]), list)
