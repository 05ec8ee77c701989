"""Which view a CDSNeck takes if its config does not say: one, unless something in it needs two."""

from typing import Any

import pytest
from mmengine.config import Config

from mmcds import add_cds
from mmcds.config.resolved import ResolvedCDS
from mmcds.models.necks import find_supervision
from mmcds.registry import MODELS

FPN = dict(type='mmdet.FPN', in_channels=[8, 16], out_channels=8, num_outs=2)


def supervision(**options: Any) -> Any:
    return ResolvedCDS.of(dict(type='mmcds.CDSNeck', neck=FPN, **options)).supervision


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
    assert type(supervision(**options).view).__name__ == 'SingleView'


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
    made = supervision(**options).view
    assert (type(made).__name__, made.scale) == ('PhotometricView', 0.5)


def test_the_default_loss_bounds_small_batches() -> None:
    """A loss that is named in full has its own default, SupCon's mean."""
    assert supervision().loss.min_anchors == 64
    assert supervision(loss=dict(temperature=0.2)).loss.min_anchors == 64
    assert supervision(loss=dict(type='ContrastiveLoss', temperature=0.2)).loss.min_anchors == 1


@pytest.mark.parametrize('part', ['view', 'sampler', 'loss'])
def test_a_part_that_is_no_dict_is_named(part: str) -> None:
    with pytest.raises(ValueError, match=rf"^neck\.{part}='Name'"):
        supervision(**{part: 'Name'})


def test_a_classifier_keeps_the_papers_form(classifier: Config) -> None:
    made: Any = find_supervision(MODELS.build({**add_cds(classifier).model, '_scope_': 'mmpretrain'}))
    assert (made.views, made.concat, made.view.scale, made.loss.min_anchors) == (
        2,
        True,
        1,
        1,
    )
