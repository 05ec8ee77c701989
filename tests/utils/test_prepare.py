"""From a command line to a config."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmcds.apis import has_cds
from mmcds.utils.config import load_config
from mmcds.utils.prepare import (
    check_training_data,
    host_of,
    prepare_config,
    set_teacher_checkpoint,
    skip_broken_images,
    stem_of,
)

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


def test_the_teacher_s_checkpoint_reaches_its_hook() -> None:
    cfg = load_config('configs/classification/cifar100/resnet18_cds-distill_r152.py')
    set_teacher_checkpoint(cfg, 'a.pth')
    assert [hook.get('checkpoint') for hook in cfg.custom_hooks] == [None, None, 'a.pth']
    with pytest.raises(ValueError, match=r'^--cfg-options teacher_checkpoint=a\.pth: the config has no teacher; use'):
        prepare_config(STOCK, {'teacher_checkpoint': 'a.pth'}, cds=True, check_data=False)


def test_a_teacher_that_is_not_given_is_asked_for_in_training_only() -> None:
    config = 'configs/classification/cifar100/resnet18_cds-distill_r152.py'
    with pytest.raises(ValueError, match=r'^teacher_checkpoint is not set; train .*resnet152_cds\.py first'):
        prepare_config(config, None, cds=False, check_data=True)
    assert prepare_config(config, None, cds=False, check_data=False).model.neck.distill


@pytest.mark.parametrize('fraction', [0, 1.01, -0.1])
def test_a_fraction_out_of_range(fraction: float) -> None:
    config = 'configs/classification/cifar10/resnet18_cds-semi10.py'
    with pytest.raises(ValueError, match=r'^LabelledFraction\.fraction=.* is out of range; give a number in \(0, 1\]$'):
        prepare_config(config, {'train_dataloader.dataset.fraction': fraction}, cds=False, check_data=False)


def test_unlabelled_images_without_the_contrast() -> None:
    config = 'configs/classification/cifar10/resnet18_semi10.py'
    with pytest.raises(ValueError, match=r'^LabelledFraction keeps unlabelled images, but the model has no CDSNeck'):
        prepare_config(config, {'train_dataloader.dataset.keep_unlabelled': True}, cds=False, check_data=False)


def test_labels_are_checked_in_classification(tmp_path: Path) -> None:
    (tmp_path / 'cat').mkdir()
    dataset = dict(
        _delete_=True, type='CustomDataset', data_root=str(tmp_path), pipeline=[dict(type='LoadImageFromFile')]
    )
    cfg = load_config('configs/classification/cifar10/resnet18.py')
    cfg.merge_from_dict({'train_dataloader.dataset': dataset, 'val_dataloader.dataset': dataset})
    check_training_data(cfg)
    assert [hook.type for hook in cfg.custom_hooks] == ['mmcds.EpochSeedHook', 'mmcds.LabelCheckHook']
    assert cfg.train_dataloader.dataset.pipeline[0].type == 'mmcds.LoadImageOrSkip'
    assert cfg.val_dataloader.dataset.pipeline[0].type == 'LoadImageFromFile'


def test_runs_of_the_same_name_on_different_data_do_not_meet() -> None:
    from mmcds.utils.prepare import default_work_dir

    assert default_work_dir('configs/classification/cifar100/resnet18_cds.py') == 'work_dirs/cifar100/resnet18_cds'
    assert default_work_dir('configs/cds/retinanet_r50_cds.py') == 'work_dirs/retinanet_r50_cds'
    assert default_work_dir('mmdet::fcos/fcos_x.py', cds=True) == 'work_dirs/fcos_x_cds'


def test_a_data_root_that_moves_nothing_is_named() -> None:
    from mmcds.utils.config import set_data_root

    cfg = Config(dict(data_root='data/a', train_dataloader=dict(dataset=dict(data_root='elsewhere/b'))))
    with pytest.raises(ValueError, match=r"^data_root=/x: nothing in this config lies in its data_root='data/a'"):
        set_data_root(cfg, '/x')
