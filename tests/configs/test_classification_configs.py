"""Every shipped classification config takes one training step on images that its own pipeline prepared."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from toys import total

pytest.importorskip('mmpretrain')

from mmcds import add_cds, remove_cds
from mmcds.apis import check_cds, has_cds
from mmcds.config.load_config import load_config
from mmcds.engine.load_teacher import load_teacher
from mmcds.models import Teacher, TwoViewForward, find_supervision

ROOT = Path(__file__).resolve().parents[2] / 'configs' / 'classification'
CONFIGS = sorted(
    str(path.relative_to(ROOT).with_suffix('')) for path in ROOT.rglob('*.py') if '_base_' not in path.parts
)
#: One of each kind; the others are of the same kinds and take minutes together.
QUICK = {
    'cifar100/resnet18',
    'cifar100/seresnet18_dsn',
    'cifar100/preactresnet18_cds',
    'cifar100/resnet18_cds-fast',
    'cifar100/resnet18_cds-mlp',
    'cifar10/resnet18_cds-semi10',
    'imagenet/resnet18_cds',
}
RESIDUAL = ['resnet18', 'resnet50', 'resnet101', 'resnext50', 'resnext101', 'wrn50', 'wrn101']
CIFAR_MODELS = [*RESIDUAL, 'seresnet18', 'seresnet50', 'preactresnet18']
FINE = ['cub', 'cars', 'flowers', 'dogs', 'aircraft']


def expected_configs() -> set[str]:
    """The rows of the paper's tables, written out."""
    plain = ('', '_dsn', '_cds')
    names = {f'cifar100/{model}{each}' for model in CIFAR_MODELS for each in plain}
    names |= {f'cifar10/resnet18{each}' for each in plain}
    for data in ('cifar10', 'cifar100'):
        names |= {f'{data}/resnet18{each}{p}' for each in ('_semi', '_cds-semi') for p in (10, 20, 30, 40)}
    names |= {'cifar100/resnet18_cds-distill_r152', 'cifar100/resnet18_cds-fast', 'cifar100/resnet18_cds-mlp'}
    names |= {'cifar100/resnet152', 'cifar100/resnet152_cds'}
    for model in ('resnet18', 'resnet34', 'resnet50'):
        names |= {f'imagenet/{model}{each}' for each in (*plain, '_cds-distill_r50')}
    names |= {'imagenet/resnet50_cds-350e', 'imagenet/resnet50_cds-fast', 'imagenet/resnet50_cds-mlp'}
    return names | {f'{data}/resnet50{each}' for data in FINE for each in plain}


def load(name: str) -> Config:
    return load_config(str(ROOT / f'{name}.py'))


def shrink(pipeline: Any) -> None:
    """Crops of 64 px instead of ImageNet's 224, and 32 instead of 112."""
    if isinstance(pipeline, list):
        for each in pipeline:
            shrink(each)
    elif isinstance(pipeline, dict):
        if str(pipeline.get('type')).endswith('RandomResizedCrop'):
            pipeline['scale'] = {224: 64, 112: 32}[pipeline['scale']]
        for key in ('first', 'second'):
            shrink(pipeline.get(key))


def images_for(dataset: Any, folder: Path, count: int = 4) -> Any:
    """The config's data set on random images, two of each class: CIFAR's in memory, the others as files."""
    if 'dataset' in dataset:
        # So many that 10 % are one.
        dataset.dataset = images_for(dataset.dataset, folder, 10)
        return dataset
    from mmpretrain.datasets import BaseDataset

    size = 32 if 'CIFAR' in str(dataset.type) else 80
    generator = np.random.default_rng(0)
    images = generator.integers(256, size=(count, size, size, 3), dtype=np.uint8)
    items: list[dict[str, Any]] = [dict(img=image, gt_label=i // 2) for i, image in enumerate(images)]
    if size != 32:
        for i, item in enumerate(items):
            item['img_path'] = str(folder / f'{i}.png')
            cv2.imwrite(item['img_path'], item.pop('img'))

    class Images(BaseDataset):
        def load_data_list(self) -> list[dict[str, Any]]:
            return items

    shrink(dataset.pipeline)
    return dict(type=Images, ann_file='', pipeline=dataset.pipeline, metainfo=dict(classes=[str(i) for i in range(5)]))


def batch(cfg: Config, folder: Path) -> dict[str, Any]:
    from mmpretrain.registry import DATASETS

    np.random.seed(0)
    data = DATASETS.build(images_for(deepcopy(cfg.train_dataloader.dataset), folder))
    return pseudo_collate([data[i] for i in range(len(data))])


def build(cfg: Config) -> Any:
    from mmpretrain.registry import MODELS

    torch.manual_seed(0)
    model = MODELS.build(dict(deepcopy(cfg.model), data_preprocessor=cfg.data_preprocessor))
    model.init_weights()
    return model.train()


def bring_teacher(cfg: Config, folder: Path) -> Teacher | None:
    """The teacher of a config's DistillHook, read from a checkpoint as in training."""
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook.type == 'mmcds.DistillHook']
    if not hooks:
        return None
    file = folder / 'teacher.pth'
    torch.save({'state_dict': build(load_config(hooks[0].teacher)).state_dict()}, file)
    hooks[0].checkpoint = str(file)
    check_cds(cfg)
    teacher = Teacher(load_teacher(hooks[0].teacher, hooks[0].checkpoint))
    file.unlink()
    return teacher


def test_every_row_of_the_paper_has_a_config() -> None:
    assert set(CONFIGS) == expected_configs()


@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in CONFIGS]
)
def test_takes_a_step(name: str, tmp_path: Path) -> None:
    cfg = load(name)
    if 'distill' not in name:
        check_cds(cfg)
    # One hook that seeds, with CDS and without.
    assert [hook.type for hook in cfg.custom_hooks].count('mmcds.EpochSeedHook') == 1
    assert remove_cds(cfg).custom_hooks == [dict(type='mmcds.EpochSeedHook')]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model, data = build(cfg), batch(cfg, tmp_path)
        labelled = sum(sample.metainfo.get('labelled', True) for sample in data['data_samples'])
        hooked = has_cds(cfg)
        if hooked:
            two_views = TwoViewForward(model).attach()
            two_views.teacher = bring_teacher(cfg, tmp_path)
        prepared = model.data_preprocessor(data, True)
        assert prepared['inputs'].shape[1:] == ((3, 32, 32) if name.startswith('cifar') else (3, 64, 64))
        losses = model(**prepared, mode='loss')
    if 'semi' in name:
        # Of ten images one to four are labelled. With CDS the others are there, too, and the labelled ones as often.
        chosen = int(name[-2:]) // 10
        assert (labelled, len(data['inputs'])) == (
            (10 - chosen, 2 * (10 - chosen)) if 'cds' in name else (chosen, chosen)
        )
    kinds = {re.sub(r'\d+$', '', key) for key in losses}
    paradigms = {'_cds': {'loss_cds_backbone'}, '_dsn': {'loss_dsn_backbone'}}
    wanted = {'loss'}.union(*(keys for paradigm, keys in paradigms.items() if paradigm in name))
    if 'distill' in name:
        wanted |= {'loss_distill_backbone', 'loss_distill_logits'}
    assert kinds == wanted
    assert hooked == (len(wanted) > 1)
    assert all(torch.isfinite(loss).all() for loss in losses.values())
    total(losses).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('name', ['cifar100/resnet18', 'imagenet/resnet50_cds-distill_r50'])
def test_cds_comes_and_goes_and_the_seeding_stays(name: str) -> None:
    """The baseline draws the same random numbers as its counterpart."""
    cfg = load(name)
    seeding = dict(type='mmcds.EpochSeedHook')
    assert remove_cds(cfg).custom_hooks == [seeding]
    assert [hook.type for hook in add_cds(cfg).custom_hooks].count('mmcds.EpochSeedHook') == 1
    if not has_cds(cfg):
        assert remove_cds(add_cds(cfg)).to_dict() == cfg.to_dict()


@pytest.mark.parametrize('name', sorted(QUICK))
def test_metrics_and_weights(name: str) -> None:
    cfg = load(name)
    assert [each.type for each in cfg.test_evaluator] == ['mmpretrain.Accuracy', 'mmcds.CalibrationError']
    assert cfg.test_dataloader.dataset.data_root == cfg.data_root
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = build(cfg)
    assert model.head.num_classes == cfg.num_classes
    if not has_cds(cfg):
        return
    supervision = find_supervision(model)
    weight = 1.0 if '_dsn' in name else 0.5 if name.startswith('imagenet') else 0.1
    assert supervision.loss_weights == [weight] * (3 if '_dsn' in name else 4)


def test_the_released_code_s_settings() -> None:
    """The table of the released code, read off the loaded configs."""
    cifar, imagenet = load('cifar100/resnet18_cds'), load('imagenet/resnet18_cds')
    for cfg, lr_steps, epochs, size, decay in (
        (cifar, [90, 180, 280], 300, 128, 5e-4),
        (imagenet, [30, 60], 90, 256, 1e-4),
    ):
        assert cfg.param_scheduler.type == 'MultiStepLR'
        assert (cfg.param_scheduler.milestones, cfg.param_scheduler.gamma) == (lr_steps, 0.1)
        assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (epochs, size)
        optimizer = cfg.optim_wrapper.optimizer
        assert (optimizer.type, optimizer.lr, optimizer.momentum) == ('SGD', 0.1, 0.9)
        assert optimizer.weight_decay == pytest.approx(decay)
        assert cfg.model.neck.concat
    for cfg, mean, std in (
        (cifar, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        (imagenet, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ):
        assert [each / 255 for each in cfg.data_preprocessor.mean] == pytest.approx(mean)
        assert [each / 255 for each in cfg.data_preprocessor.std] == pytest.approx(std)
    # CIFAR's images are RGB as they are read, those of files BGR.
    assert (cifar.data_preprocessor.to_rgb, imagenet.data_preprocessor.to_rgb) == (False, True)


@pytest.mark.parametrize(('name', 'to_rgb'), [('cifar100/resnet18_cds', False), ('imagenet/resnet18_cds', True)])
def test_the_second_view_s_gray_is_that_of_rgb(name: str, to_rgb: bool) -> None:
    """Pure red is darker as gray than pure green: a pipeline that mixes the channels up fails."""
    from mmpretrain.registry import TRANSFORMS

    steps = deepcopy(load(name).colours)
    steps[2].p = 1.0
    steps[1].prob = 0.0
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 2 if to_rgb else 0] = 255  # red
    results: dict[str, Any] = {'img': image}
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for step in steps:
            results = TRANSFORMS.build(step)(results)
    assert np.all(results['img'] == round(0.299 * 255))
