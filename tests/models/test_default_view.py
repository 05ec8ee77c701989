"""Which view a CDSNeck takes if its config does not say: one, unless something in it needs two."""

from typing import Any

import pytest
from mmengine.config import Config

from mmcds import add_cds
from mmcds.config.resolved import ResolvedCDS
from mmcds.models.necks import find_supervision
from mmcds.registry import MODELS

FPN = dict(type='mmdet.FPN', in_channels=[8, 16], out_channels=8, num_outs=2)


def view(**options: Any) -> Any:
    return find_supervision_of(dict(type='mmcds.CDSNeck', neck=FPN, **options)).view


def find_supervision_of(neck: dict[str, Any]) -> Any:
    return ResolvedCDS.of(neck).supervision


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(view=None),
        dict(view={}),
        dict(sampler=dict(background=4)),
        dict(sampler=dict(type='mmcds.InstanceSampler', near=2)),
        dict(sampler=dict(type='PixelSampler'), queue_length=8),
        dict(loss=dict(positives='class', temperature=0.1)),
        dict(recompute=True, concat=False, stop_gradient=False),
    ],
)
def test_one_view(options: dict[str, Any]) -> None:
    assert type(view(**options)).__name__ == 'SingleView'


@pytest.mark.parametrize(
    'options',
    [
        dict(concat=True),
        dict(stop_gradient=True),
        dict(distill=dict(logits_weight=0)),
        dict(sampler=dict(type='DenseSampler')),
        dict(sampler=dict(type='mmcds.ImageSampler')),
        dict(loss=dict(positives='instance')),
        dict(loss=dict(type='ContrastiveLoss', positives='instance')),
        dict(view=dict(jitter_prob=0.1)),
    ],
)
def test_two_views(options: dict[str, Any]) -> None:
    made = view(**options)
    assert (type(made).__name__, made.scale) == ('PhotometricView', 0.5)


def test_small_batches_weigh_less_by_default() -> None:
    """2 anchors count as 2 of 64; a loss that is named in full has SupCon's mean."""
    assert find_supervision_of(dict(type='mmcds.CDSNeck', neck=FPN)).loss.min_anchors == 64
    assert find_supervision_of(dict(type='mmcds.CDSNeck', neck=FPN, loss=dict(temperature=0.2))).loss.min_anchors == 64
    named = dict(type='ContrastiveLoss', temperature=0.2)
    assert find_supervision_of(dict(type='mmcds.CDSNeck', neck=FPN, loss=named)).loss.min_anchors == 1


def test_a_classifier_keeps_the_papers_form(classifier: Config) -> None:
    supervision = find_supervision(MODELS.build({**add_cds(classifier).model, '_scope_': 'mmpretrain'}))
    assert (supervision.views, supervision.concat, supervision.view.scale, supervision.loss.min_anchors) == (
        2,
        True,
        1,
        1,
    )
