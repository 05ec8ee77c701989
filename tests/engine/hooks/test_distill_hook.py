"""The teacher through MMEngine's Runner: where its weights are not, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from classifiers import build_classifier, classifier_config, images
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import nn

from mmcds import add_cds
from mmcds.engine.hooks import CDSHook


class RandomImages(BaseDataset):
    """Four images of three classes, already packed."""

    def load_data_list(self) -> list[dict]:
        return [dict(image=image, label=i % 3) for i, image in enumerate(images(4))]

    def prepare_data(self, idx: int) -> Any:
        from mmpretrain.structures import DataSample

        item = self.get_data_info(idx)
        return dict(inputs=item['image'], data_samples=DataSample().set_gt_label(item['label']))


class Watch(Hook):
    """Holds what the hook holds while training goes on."""

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.teachers: list[Any] = []
        self.losses: list[set[str]] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        hook: Any = next(each for each in runner.hooks if isinstance(each, CDSHook))
        self.teachers.append(hook.two_views.teacher)
        self.losses.append(set(outputs))


@pytest.fixture
def teacher(tmp_path: Path) -> tuple[Path, Path, dict[str, Any]]:
    """Config and checkpoint of a wider classifier trained with CDS, and its weights."""
    cfg = add_cds(classifier_config(8))
    cfg.dump(tmp_path / 'teacher.py')
    weights = build_classifier(cfg, seed=9).state_dict()
    torch.save({'state_dict': weights}, tmp_path / 'teacher.pth')
    return tmp_path / 'teacher.py', tmp_path / 'teacher.pth', weights


def student_config(work_dir: Path, *hooks: dict[str, Any], **parts: Any) -> Config:
    cfg = add_cds(classifier_config(), distill=dict(channels=64))
    cfg.custom_hooks = [*cfg.custom_hooks, *hooks]
    cfg.merge_from_dict(
        dict(
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=dict(type=RandomImages),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
            randomness=dict(seed=0),
            work_dir=str(work_dir),
            log_level='ERROR',
            **parts,
        )
    )
    return cfg


def train(cfg: Config) -> tuple[Runner, Watch]:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        runner = Runner.from_cfg(cfg)
        watch = Watch()
        runner.register_hook(watch)
        runner.train()
    return runner, watch


@pytest.mark.parametrize('mode', ['eval', 'train'])
def test_the_teacher_is_in_no_checkpoint_and_no_optimiser(mode: str, teacher: tuple, tmp_path: Path) -> None:
    config, checkpoint, weights = teacher
    hook = dict(type='mmcds.DistillHook', teacher=str(config), checkpoint=str(checkpoint), teacher_mode=mode)
    runner, watch = train(student_config(tmp_path / 'work', hook))
    shown = watch.teachers[0]
    assert [each is shown for each in watch.teachers] == [True, True]
    assert {module.training for module in shown.model.modules()} == {mode == 'train'}
    for name, value in shown.model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert (
        {'loss_distill_logits', *(f'loss_distill_backbone{i}' for i in range(4))} < watch.losses[0] == watch.losses[1]
    )

    alone = build_classifier(add_cds(classifier_config(), distill=dict(channels=64)))
    saved = torch.load(tmp_path / 'work/epoch_1.pth', weights_only=False)
    assert list(saved['state_dict']) == list(alone.state_dict())
    held = [each for group in runner.optim_wrapper.optimizer.param_groups for each in group['params']]
    assert len(held) == len(list(alone.parameters()))
    # Compared by identity: tensors are equal by their values.
    assert not {id(each) for each in held} & {id(each) for each in shown.model.parameters()}
    size = sum(each.numel() for each in saved['state_dict'].values())
    assert size == sum(each.numel() for each in alone.state_dict().values())

    hook_left: Any = next(each for each in runner.hooks if isinstance(each, CDSHook))
    assert hook_left.two_views is None
    model: Any = runner.model
    assert all(not isinstance(each, nn.Module) or each is not shown.model for each in model.modules())


def test_a_teacher_does_not_change_the_random_numbers_of_the_run(teacher: tuple, tmp_path: Path) -> None:
    """Building it draws initial weights; without EpochSeedHook those would move all that follows."""
    config, checkpoint, _ = teacher
    states = []
    for name, hooks in (
        ('without', []),
        ('with', [dict(type='mmcds.DistillHook', teacher=str(config), checkpoint=str(checkpoint))]),
    ):
        cfg = student_config(tmp_path / name, *hooks)
        cfg.custom_hooks = [each for each in cfg.custom_hooks if each.type != 'mmcds.EpochSeedHook']
        if name == 'without':
            cfg.model.neck.distill = None
        train(cfg)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            'no CDSHook',
            r"^mmcds\.DistillHook works beside a CDSHook; add dict\(type='mmcds\.CDSHook'\) to custom_hooks$",
        ),
        ('mode', r"^teacher_mode='test' is not known; .*valid: eval, train$"),
        ('no checkpoint', r'^DistillHook\.checkpoint is not set; give the file of the trained teacher$'),
        (
            'normalisation',
            r'^data_preprocessor\.std of the student is \[60.*\], of the teacher \[50.*same normalisation$',
        ),
    ],
)
def test_mistakes_are_named_before_the_first_step(change: str, message: str, teacher: tuple, tmp_path: Path) -> None:
    config, checkpoint, _ = teacher
    hook: dict[str, Any] = dict(type='mmcds.DistillHook', teacher=str(config), checkpoint=str(checkpoint))
    if change == 'mode':
        hook['teacher_mode'] = 'test'
    if change == 'no checkpoint':
        hook['checkpoint'] = None
    if change == 'normalisation':
        other = Config.fromfile(config)
        other.model.data_preprocessor.std = [50.0] * 3
        other.dump(config)
    cfg = student_config(tmp_path / 'work', hook)
    if change == 'no CDSHook':
        cfg.custom_hooks = [hook]
    with pytest.raises(ValueError, match=message):
        train(cfg)
    assert not (tmp_path / 'work/epoch_1.pth').exists()
