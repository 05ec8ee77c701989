"""Configs in pure Python: read_base(), and classes as types."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from toys import toy_model

from mmcds.apis import add_cds, check_cds, has_cds, remove_cds
from mmcds.config.from_options import config_from_options
from mmcds.models import TwoViewForward, find_supervision

BASE = """\
from mmdet.models import FPN, DetDataPreprocessor, ResNet

backbone = dict(type=ResNet, depth=18, base_channels=16, norm_eval=False, norm_cfg=dict(type='BN'))
neck = dict(type=FPN, in_channels=[16, 32, 64, 128], out_channels=16, num_outs=5)
data_preprocessor = dict(type=DetDataPreprocessor, mean=[123.0] * 3, std=[58.0] * 3, pad_size_divisor=32)
default_scope = 'mmdet'
"""
CHILD = """\
from mmengine.config import read_base

with read_base():
    from .base import *

from mmdet.models import FocalLoss, L1Loss, RetinaHead, RetinaNet
from mmdet.models.task_modules import AnchorGenerator, DeltaXYWHBBoxCoder, MaxIoUAssigner, PseudoSampler

anchors = dict(type=AnchorGenerator, octave_base_scale=4, scales_per_octave=3, ratios=[0.5, 1.0, 2.0],
               strides=[8, 16, 32, 64, 128])
head = dict(type=RetinaHead, num_classes=4, in_channels=16, feat_channels=16, stacked_convs=1, anchor_generator=anchors,
            bbox_coder=dict(type=DeltaXYWHBBoxCoder), loss_bbox=dict(type=L1Loss),
            loss_cls=dict(type=FocalLoss, use_sigmoid=True))
train_cfg = dict(assigner=dict(type=MaxIoUAssigner, pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1),
                 sampler=dict(type=PseudoSampler), allowed_border=-1, pos_weight=-1, debug=False)
model = dict(type=RetinaNet, data_preprocessor=data_preprocessor, backbone=backbone, neck=neck, bbox_head=head,
             train_cfg=train_cfg, test_cfg=dict())
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / 'base.py').write_text(BASE)
    (tmp_path / 'child.py').write_text(CHILD)
    return tmp_path / 'child.py'


def step(cfg: Config) -> dict[str, torch.Tensor]:
    """The losses of one training step from a seed."""
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(deepcopy(cfg.model))
    model.train()
    if has_cds(cfg):
        TwoViewForward(model).attach().begin_step(seed=1)
    samples = []
    for _ in range(2):
        sample = DetDataSample(metainfo=dict(img_shape=(64, 64), batch_input_shape=(64, 64), pad_shape=(64, 64)))
        boxes = torch.tensor([[4.0, 4, 30, 40], [20, 10, 60, 50]])
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([0, 1]))
        samples.append(sample)
    torch.manual_seed(1)
    return model(torch.randn(2, 3, 64, 64).clamp(-2, 2), samples, mode='loss')


def test_add_check_dump_reload_remove(file: Path, tmp_path: Path) -> None:
    stock = Config.fromfile(file)
    cds = add_cds(stock)
    check_cds(cds)
    assert has_cds(cds)
    losses = step(cds)
    assert any(float(value) > 0 for key, value in losses.items() if key.startswith('loss_cds_'))
    cds.dump(tmp_path / 'dumped.py')
    again = Config.fromfile(tmp_path / 'dumped.py')
    check_cds(again)
    assert has_cds(again)
    assert add_cds(again).to_dict() == again.to_dict()
    # The same losses after a round trip through a file, and the stock's after remove_cds.
    reloaded = step(again)
    for key, value in losses.items():
        values = value if isinstance(value, list) else [value]
        others = reloaded[key] if isinstance(reloaded[key], list) else [reloaded[key]]
        assert all(torch.equal(a, b) for a, b in zip(values, others, strict=True)), key
    assert remove_cds(cds).to_dict() == stock.to_dict()
    assert not has_cds(remove_cds(again))


def test_options_reach_the_neck_of_a_pure_python_config(file: Path) -> None:
    cfg = config_from_options(str(file), {'model.neck.taps': ['backbone.2']}, cds=True, teacher=False)
    with DefaultScope.overwrite_default_scope('mmdet'):
        assert [tap.name for tap in find_supervision(MODELS.build(cfg.model)).taps] == ['backbone.2']


def test_channels_are_those_of_the_same_model_in_text(file: Path) -> None:
    text = add_cds(toy_model('retinanet')).model.neck
    pure = add_cds(Config.fromfile(file)).model.neck
    assert pure.get('channels') == text.get('channels')
