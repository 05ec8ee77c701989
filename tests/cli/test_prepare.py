"""From a command line to a config."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmcds.apis import has_cds
from mmcds.checkpoints.files import classes_of
from mmcds.cli.prepare import (
    check_test_data,
    check_training_data,
    host_of,
    prepare_config,
    prepare_training,
    skip_broken_images,
    stem_of,
)
from mmcds.config.from_options import set_teacher_checkpoint
from mmcds.config.load_config import load_config

STOCK = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'


def test_names() -> None:
    assert stem_of(STOCK) == 'retinanet_r18_fpn_1x_coco'
    assert stem_of('configs/cds/a.py') == 'a'
    assert host_of(Config({})) == 'mmdet'
    with pytest.raises(ValueError, match=r"default_scope='mmpose'.*mmdet, mmpretrain, mmrotate, mmseg, mmyolo"):
        host_of(Config({'default_scope': 'mmpose'}))


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


LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackDetInputs')
TWO = dict(type='mmcds.TwoViews', first=[], second=[], pack=PACK)


def test_broken_images_are_skipped_in_the_pipelines_that_hooks_switch_to() -> None:
    """mmdet's switch, mmpretrain's recipes, hooks in default_hooks, data sets inside data sets."""
    cfg = prepare_config(STOCK, None, cds=True, check_data=False)
    inner = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(
        type='MultiImageMixDataset', dataset=inner, pipeline=[dict(type='Mosaic'), PACK]
    )
    pipeline = [dict(type='RandomChoice', transforms=[[LOAD], [dict(LOAD, type='mmdet.LoadImageFromFile')]]), PACK]
    cfg.custom_hooks += [
        dict(type='mmdet.PipelineSwitchHook', switch_epoch=1, switch_pipeline=pipeline),
        dict(type='mmpretrain.SwitchRecipeHook', schedule=[dict(action_epoch=3, train_pipeline=(LOAD, PACK))]),
    ]
    cfg.default_hooks.switch = dict(type='my.Hook', switch_pipeline=[dict(LOAD, color_type='grayscale')])
    prepare_training(cfg)
    text = cfg.pretty_text
    assert text.count("'mmcds.LoadImageOrSkip'") == 5
    assert 'grayscale' in text
    assert cfg.val_dataloader.dataset.pipeline[0].type == 'LoadImageFromFile'


def test_broken_images_are_skipped_in_a_pure_python_config(tmp_path: Path) -> None:
    """There the type of a transform is a class; a loader of the user's own stays."""
    path = tmp_path / 'config.py'
    path.write_text(
        'from mmengine.config import read_base\nwith read_base():\n    from .base import *\n'
        'from mmcv.transforms import LoadImageFromFile, Resize\n'
        'from mmdet.engine.hooks import PipelineSwitchHook\n'
        'custom_hooks = [dict(type=PipelineSwitchHook, switch_epoch=1,\n'
        '                     switch_pipeline=[dict(type=LoadImageFromFile), dict(type=Resize, scale=(8, 8))])]\n'
    )
    (tmp_path / 'base.py').write_text(
        'from mmcv.transforms import LoadImageFromFile\n'
        'from mmdet.datasets import CocoDataset\nfrom mmdet.datasets.transforms import LoadImageFromNDArray\n'
        'from mmdet.models import RetinaNet\nmodel = dict(type=RetinaNet)\n'
        'pipeline = [dict(type=LoadImageFromFile), dict(type=LoadImageFromNDArray)]\n'
        'train_dataloader = dict(dataset=dict(type=CocoDataset, pipeline=pipeline))\n'
    )
    cfg = load_config(str(path))
    prepare_training(cfg)
    steps = cfg.train_dataloader.dataset.pipeline
    assert [getattr(step.type, '__name__', step.type) for step in steps] == [
        'mmcds.LoadImageOrSkip',
        'LoadImageFromNDArray',
    ]
    assert cfg.custom_hooks[0].switch_pipeline[0].type == 'mmcds.LoadImageOrSkip'
    # What the Runner writes into the work directory.
    cfg.dump(tmp_path / 'dumped.py')
    assert (tmp_path / 'dumped.py').read_text().count('mmcds.LoadImageOrSkip') == 2


def two_views(switched: list, schedule: dict | None = None, hook: dict | None = None) -> Config:
    from mmcds.apis import add_cds

    cfg = load_config(STOCK)
    cfg.train_dataloader.dataset.pipeline = [LOAD, TWO]
    cfg = add_cds(cfg, schedule=schedule, view=dict(type='DataloaderView'))
    hook = hook or dict(type='mmdet.PipelineSwitchHook', switch_epoch=10, switch_pipeline=switched)
    cfg.custom_hooks = [*cfg.custom_hooks, hook]
    return cfg


def test_a_switched_pipeline_without_the_second_view_is_found_at_the_start() -> None:
    with pytest.raises(
        ValueError, match=r'^custom_hooks: switch_pipeline \(from epoch 10 on\) makes no second view .*TwoViews'
    ):
        prepare_training(two_views([LOAD, PACK]))
    with pytest.raises(ValueError, match=r'^custom_hooks: switch_pipeline \(from epoch 10 on\)'):
        prepare_training(two_views([LOAD, PACK], schedule=dict(stop=11, unit='epoch')))
    recipe = dict(type='SwitchRecipeHook', schedule=[dict(action_epoch=3, train_pipeline=[LOAD, PACK])])
    with pytest.raises(ValueError, match=r'^custom_hooks: train_pipeline \(from epoch 3 on\)'):
        prepare_training(two_views([], hook=recipe))


@pytest.mark.parametrize(
    ('switched', 'schedule'),
    [
        ([LOAD, TWO], None),
        ([LOAD, PACK], dict(stop=0.8)),
        ([LOAD, PACK], dict(stop=10, unit='epoch')),
        ([LOAD, PACK], dict(stop=100, unit='iter')),
    ],
)
def test_a_switched_pipeline_that_has_it_or_needs_none(switched: list, schedule: dict | None) -> None:
    prepare_training(two_views(switched, schedule))


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
    from mmcds.cli.prepare import default_work_dir

    assert default_work_dir('configs/classification/cifar100/resnet18_cds.py') == 'work_dirs/cifar100/resnet18_cds'
    assert default_work_dir('configs/cds/retinanet_r50_cds.py') == 'work_dirs/retinanet_r50_cds'
    assert default_work_dir('mmdet::fcos/fcos_x.py', cds=True) == 'work_dirs/fcos_x_cds'


def test_a_data_root_that_moves_nothing_is_named() -> None:
    from mmcds.config.load_config import set_data_root

    cfg = Config(dict(data_root='data/a', train_dataloader=dict(dataset=dict(data_root='elsewhere/b'))))
    with pytest.raises(ValueError, match=r"^data_root=/x: nothing in this config lies in its data_root='data/a'"):
        set_data_root(cfg, '/x')


def detection_config(root: Path, *names: str, exists: bool = True) -> Config:
    """A detector on one file of ``names`` for all three loaders; its only image is missing unless ``exists``."""
    images = [{'id': i, 'file_name': f'{i}.jpg', 'width': 9, 'height': 9} for i in range(2)]
    box = {'bbox': [0, 0, 5, 5], 'area': 25, 'iscrowd': 0}
    boxes = [{'id': i + 1, 'image_id': i, 'category_id': i, **box} for i in (0, 1)]
    categories = [{'id': i, 'name': name} for i, name in enumerate(names)]
    path = root / f'{"_".join(names)}.json'
    path.write_text(json.dumps({'images': images, 'annotations': boxes, 'categories': categories}))
    (root / '0.jpg').touch()
    if exists:
        (root / '1.jpg').touch()
    dataset = {
        'type': 'CocoDataset',
        'ann_file': str(path),
        'data_prefix': {'img': str(root)},
        'metainfo': {'classes': ('cat', 'dog')},
        'pipeline': [{'type': 'LoadImageFromFile'}],
    }
    loaders = {f'{split}_dataloader': {'dataset': dict(dataset)} for split in ('train', 'val', 'test')}
    return Config({'default_scope': 'mmdet', 'model': {}, **loaders})


def test_without_a_look_at_the_data_broken_images_are_skipped_all_the_same(tmp_path: Path) -> None:
    cfg = detection_config(tmp_path, 'cat', 'dog', exists=False)
    with pytest.raises(FileNotFoundError, match=r'^val_dataloader\.dataset: 1 of 2 images'):
        check_training_data(cfg.copy())
    check_training_data(cfg, look=False)
    assert cfg.train_dataloader.dataset.pipeline[0].type == 'mmcds.LoadImageOrSkip'
    assert cfg.val_dataloader.dataset.pipeline[0].type == 'LoadImageFromFile'


def test_test_data_are_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_test_data(detection_config(tmp_path, 'cat', 'dog'))
    assert capsys.readouterr().err == ''
    (tmp_path / '1.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r"^test_dataloader\.dataset: 1 of 2 images .* \(first: '1\.jpg'\)"):
        check_test_data(detection_config(tmp_path, 'cat', 'dog', exists=False))


def test_classes_of_a_checkpoint_are_compared_where_the_training_file_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(tmp_path / 'epoch_1.pth')
    torch.save({'state_dict': {}, 'meta': {'dataset_meta': {'classes': ('cat', 'dog')}}}, checkpoint)
    assert classes_of(checkpoint) == ('cat', 'dog')
    cfg = detection_config(tmp_path, 'dog', 'cat')
    check_test_data(cfg, checkpoint)
    assert 'another order than in the file' in capsys.readouterr().err  # of the names; the labels are the same
    cfg.train_dataloader.dataset.ann_file = str(tmp_path / 'gone.json')
    check_test_data(cfg, checkpoint)
    error = capsys.readouterr().err
    assert error.startswith('warning: test_dataloader.dataset (2 images, 2 boxes): 2 categories in ')
    assert 'another order than the classes of the checkpoint' in error
    torch.save({'state_dict': {}}, checkpoint)
    assert classes_of(checkpoint) is None
    assert classes_of('https://example.org/epoch_1.pth') is None
    cfg.train_dataloader.dataset = detection_config(tmp_path, 'cat', 'dog').train_dataloader.dataset
    with pytest.raises(ValueError, match=r"'dog' is label 1 in train_dataloader\.dataset"):
        check_test_data(cfg, checkpoint)


@pytest.mark.parametrize('given', [None, {}, dict(enable=False), dict(enable=True, base_batch_size=None)])
def test_a_learning_rate_cannot_be_scaled_from_nothing(given: dict | None) -> None:
    cfg = load_config(STOCK)
    cfg.pop('auto_scale_lr')
    if given is not None:
        cfg.auto_scale_lr = given
    with pytest.raises(ValueError, match=r'^--auto-scale-lr: auto_scale_lr\.base_batch_size=None .*--cfg-options auto'):
        prepare_training(cfg, auto_scale_lr=True)
    prepare_training(cfg)
    cfg.auto_scale_lr = dict(base_batch_size=16)
    prepare_training(cfg, auto_scale_lr=True)
    assert cfg.auto_scale_lr == dict(base_batch_size=16, enable=False)


def test_mixed_precision_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmcds.cli.prepare.get_device', lambda: 'cpu')
    cfg = load_config(STOCK)
    with pytest.raises(ValueError, match=r"^--amp: MMEngine's mixed precision needs a GPU, .*; leave it out$"):
        prepare_training(cfg, amp=True)
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    with pytest.raises(ValueError, match=r"^optim_wrapper\.type='AmpOptimWrapper': .*set optim_wrapper\.type"):
        prepare_training(cfg)
    monkeypatch.setattr('mmcds.cli.prepare.get_device', lambda: 'cuda')
    prepare_training(cfg)
    cfg.pop('optim_wrapper')
    with pytest.raises(ValueError, match=r'^--amp: the config has no optim_wrapper'):
        prepare_training(cfg, amp=True)


def test_a_broadcaster_takes_no_image_that_was_skipped() -> None:
    part = dict(pipeline=[dict(type='TransformBroadcaster', transforms=[dict(type='LoadImageFromFile')])])
    skip_broken_images(part)
    assert part['pipeline'][0]['transforms'] == [dict(type='LoadImageFromFile')]
