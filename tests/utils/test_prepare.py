"""From a command line to a config."""

import pytest
from mmengine.config import Config

from mmcds.apis import has_cds
from mmcds.utils.prepare import host_of, prepare_config, skip_broken_images, stem_of

STOCK = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'


def test_names() -> None:
    assert stem_of(STOCK) == 'retinanet_r18_fpn_1x_coco'
    assert stem_of('configs/cds/a.py') == 'a'
    assert host_of(Config({})) == 'mmdet'
    with pytest.raises(ValueError, match=r"default_scope='mmseg'.*mmdet, mmpretrain"):
        host_of(Config({'default_scope': 'mmseg'}))


def test_options_reach_the_stock_part_before_and_the_contrast_after() -> None:
    """The taps are known once the number of stages is."""
    cfg = prepare_config(
        STOCK,
        {'model.neck.num_outs': 4, 'model.neck.taps': ['neck.3'], 'model.neck.loss_weight': 0.5, 'data_root': '/d'},
        cds=True,
        check_data=False,
    )
    assert has_cds(cfg)
    assert cfg.model.neck.neck.num_outs == 4
    assert cfg.model.neck.taps == ['neck.3']
    assert cfg.model.neck.loss_weight == 0.5
    assert cfg.train_dataloader.dataset.data_root == '/d/'
    assert cfg.val_evaluator.ann_file == '/d/annotations/instances_val2017.json'


def test_an_option_of_the_contrast_without_it() -> None:
    with pytest.raises(ValueError, match=r'model\.neck\.taps: the config has no CDSNeck; add --cds'):
        prepare_config(STOCK, {'model.neck.taps': ['neck.3']}, cds=False, check_data=False)


def test_a_wrong_part_fails_before_anything_is_built() -> None:
    with pytest.raises(ValueError, match=r"neck\.sampler\.type='InstanceSamplr'.*InstanceSampler"):
        prepare_config(STOCK, {'model.neck.sampler': {'type': 'InstanceSamplr'}}, cds=True, check_data=False)


def test_broken_images_are_skipped_in_training_only() -> None:
    cfg = prepare_config(STOCK, None, cds=False, check_data=False)
    skip_broken_images(cfg.train_dataloader)
    assert cfg.train_dataloader.dataset.pipeline[0].type == 'mmcds.LoadImageOrSkip'
    assert cfg.val_dataloader.dataset.pipeline[0].type == 'LoadImageFromFile'
