"""What the hook logs against a recomputation, and that training does not notice it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import Tensor
from toys import hooks_of

from mmcds import add_cds
from mmcds.engine.hooks import CDSHook, DiagnosticsHook
from mmcds.models.losses import ContrastiveLoss


def train(cfg: Config, *hooks: Hook) -> Runner:
    with DefaultScope.overwrite_default_scope('mmdet'):
        runner = Runner.from_cfg(cfg)
        for hook in hooks:
            runner.register_hook(hook)
        runner.train()
    return runner


class Gradients(Hook):
    """Takes apart the gradient of the backbone's parameters as the optimiser's step sees it, by two more passes."""

    priority = 'VERY_LOW'

    def before_train(self, runner: Runner) -> None:
        self.found: list[tuple[Tensor, Tensor]] = []
        model: Any = runner.model
        parameters = [each for each in model.backbone.parameters() if each.requires_grad]

        def split(module: Any, args: tuple, losses: dict[str, Any]) -> None:
            sides = []
            for ours in (True, False):
                values: list[Any] = [v for k, v in losses.items() if k.startswith('loss_cds') is ours and 'loss' in k]
                total = torch.stack([torch.stack(v).sum() if isinstance(v, list) else v for v in values]).sum()
                found = torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)
                sides.append(torch.cat([g.flatten() for g in found if g is not None]))
            self.found.append((sides[0], sides[1]))

        model.register_forward_hook(split)


@pytest.mark.parametrize('recompute', [True, False])
def test_gradients_and_their_angle(stock_config: Config, recompute: bool) -> None:
    cfg = add_cds(stock_config, recompute=recompute, view=dict(type='PhotometricView', scale=0.5))
    gradients = Gradients()
    runner = train(cfg, DiagnosticsHook(interval=2), gradients)
    ratios = runner.message_hub.get_scalar('train/cds_grad_ratio').data[0]
    angles = runner.message_hub.get_scalar('train/cds_grad_cos').data[0]
    assert len(ratios) == len(angles) == 3  # the second, fourth and sixth of six iterations
    for place, ratio, angle in zip((1, 3, 5), ratios, angles, strict=True):
        ours, task = gradients.found[place]
        assert ratio == pytest.approx(float(ours.norm() / task.norm()), rel=1e-4)
        assert angle == pytest.approx(float(torch.cosine_similarity(ours, task, dim=0)), abs=1e-4)
    for name in ('cds_extra_time', 'cds_backward_ratio', 'cds_positives', 'cds_negatives', 'cds_pos_backbone3'):
        assert f'train/{name}' in runner.message_hub.log_scalars
    assert min(runner.message_hub.get_scalar('train/cds_extra_time').data[0]) > 0


def test_the_log_has_it_in_the_step_it_was_found_and_not_when_there_is_no_contrast(
    stock_config: Config, tmp_path: Path
) -> None:
    """Six iterations, of which the last two are without contrast."""
    cfg = add_cds(stock_config, schedule=dict(stop=4 / 6), view=dict(type='PhotometricView', scale=0.5))
    runner = train(cfg, DiagnosticsHook(interval=2))
    (log,) = Path(runner.work_dir).glob('*/vis_data/scalars.json')
    records = [json.loads(line) for line in log.read_text().splitlines() if 'cds_weight' in line]
    assert [record['cds_weight'] > 0 for record in records] == [True] * 4 + [False] * 2
    # From the second step on, where it was looked at first; nothing of it once the contrast is off.
    assert ['cds_grad_ratio' in record for record in records] == [False, True, True, True, False, False]
    assert records[1]['cds_grad_ratio'] == records[2]['cds_grad_ratio'] != records[3]['cds_grad_ratio']


def test_training_does_not_notice(stock_config: Config, tmp_path: Path) -> None:
    cfg = add_cds(stock_config)
    ends = []
    for name, hooks in (('plain', ()), ('looked at', (DiagnosticsHook(interval=1),))):
        cfg.work_dir = str(tmp_path / name)
        ends.append(train(cfg, *hooks).model.state_dict())
    assert list(ends[0]) == list(ends[1])
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_similarities_and_counts_against_all_pairs() -> None:
    """Five rows in two views, two classes, one unlabelled, one background, and a queue of three."""
    generator = torch.Generator().manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(10, 4, generator=generator), dim=1)
    queue = torch.nn.functional.normalize(torch.randn(3, 4, generator=generator), dim=1), torch.tensor([0, 1, -1])
    labels, ids = torch.tensor([0, 0, 1, -1, -1]).repeat(2), torch.arange(5).repeat(2)
    is_anchor = torch.tensor([True, True, True, True, False]).repeat(2)
    hook = DiagnosticsHook()
    hook._looking = True
    hook._supervision = type('', (), {'taps': [type('', (), {'key': 'x'})]})()
    hook._after_loss(ContrastiveLoss(), (z, labels, ids, is_anchor, queue), torch.zeros(()))
    keys, known = torch.cat([z, queue[0]]), torch.cat([labels, queue[1]])
    positives: list[float] = []
    negatives: list[float] = []
    alike, unlike = [], []
    for i in range(10):
        if not is_anchor[i]:
            continue
        others = [j for j in range(13) if j != i]
        same = [j for j in others if (j < 10 and ids[j] == ids[i]) or (labels[i] >= 0 and known[j] == labels[i])]
        rest = [j for j in others if j not in same]
        positives.append(len(same))
        negatives.append(len(rest))
        alike.append(float((keys[same] @ z[i]).mean()))
        unlike.append(float((keys[rest] @ z[i]).mean()))
    found = {name: value for name, (value,) in hook._found.items()}
    expected: dict[str, list[float]] = {'positives': positives, 'negatives': negatives, 'pos_x': alike, 'neg_x': unlike}
    for name, values in expected.items():
        assert found[f'cds_{name}'] == pytest.approx(np.mean(values), abs=1e-6)


def test_too_few_negatives_are_said_once(stock_config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    cfg = add_cds(stock_config)
    cfg.log_level = 'WARNING'
    train(cfg, DiagnosticsHook(interval=1, fewest=1000))
    printed = capsys.readouterr().out
    (said,) = [line for line in printed.splitlines() if 'negatives on average' in line]
    assert 'WARNING' in said
    assert 'DiagnosticsHook.fewest=1000' in said
    assert 'queue_length=1024' in said
    train(cfg, DiagnosticsHook(interval=1, fewest=0))
    train(cfg, DiagnosticsHook(interval=3, fewest=1000))  # two looks only
    assert 'negatives on average' not in capsys.readouterr().out


def test_a_gradient_that_outweighs_the_task_is_said_once(
    stock_config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = add_cds(stock_config, loss_weight=1000.0)
    cfg.log_level = 'WARNING'
    runner = train(cfg, DiagnosticsHook(interval=1, fewest=0))
    printed = capsys.readouterr().out
    (said,) = [line for line in printed.splitlines() if "times the task's" in line]
    last = [value for value, _ in zip(*runner.message_hub.get_scalar('train/cds_grad_ratio').data, strict=True)]
    means = [sum(last[i : i + 3]) / 3 for i in range(len(last) - 2)]
    first = next(mean for mean in means if mean > 3)
    assert f"is {first:.1f} times the task's (DiagnosticsHook.strongest=3); lower model.neck.loss_weight" in said
    train(cfg, DiagnosticsHook(interval=1, fewest=0, strongest=float('inf')))
    train(add_cds(stock_config, loss_weight=1e-3), DiagnosticsHook(interval=1, fewest=0))
    assert "times the task's" not in capsys.readouterr().out


def test_without_a_cds_hook(stock_config: Config) -> None:
    with pytest.raises(
        ValueError, match=r'^DiagnosticsHook looks at the contrast, but custom_hooks has no CDSHook; add'
    ):
        train(stock_config, DiagnosticsHook())


def test_nothing_stays_on_the_model(stock_config: Config) -> None:
    hook = DiagnosticsHook(interval=1)
    runner = train(add_cds(stock_config), hook)
    assert hooks_of(runner.model) == 0
    cds: Any = next(each for each in runner.hooks if isinstance(each, CDSHook))
    assert cds.two_views is None


@pytest.mark.parametrize(('field', 'value'), [('interval', 0), ('fewest', -1), ('strongest', 0)])
def test_arguments_out_of_range(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf'^DiagnosticsHook\.{field}={value}'):
        DiagnosticsHook(**{field: value})


@pytest.mark.parametrize('backend', ['tensorboard', 'wandb'])
def test_backends_of_the_visualizer_get_what_the_log_gets(
    stock_config: Config, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(backend)
    monkeypatch.setenv('WANDB_MODE', 'offline')
    name = {'tensorboard': 'TensorboardVisBackend', 'wandb': 'WandbVisBackend'}[backend]
    cfg = add_cds(stock_config)
    cfg.visualizer = dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type=name)])
    cfg.default_hooks = dict(logger=dict(type='LoggerHook', interval=2))
    summary: dict[str, Any] = {}

    class Summary(Hook):
        """Reads what W&B has before the visualizer closes it."""

        def after_train(self, runner: Runner) -> None:
            if backend == 'wandb':
                import wandb

                assert wandb.run is not None
                summary.update(wandb.run.summary)

    runner = train(cfg, DiagnosticsHook(interval=2), Summary())
    folder = Path(runner.log_dir) / 'vis_data'
    lines = [json.loads(line) for line in (folder / 'scalars.json').read_text().splitlines()]
    written = {key for line in lines for key in line if key.startswith('cds_')}
    assert {'cds_grad_ratio', 'cds_pos_backbone3', 'cds_extra_time'} <= written
    if backend == 'wandb':
        assert written <= set(summary)
        assert summary['cds_grad_ratio'] == pytest.approx(lines[-1]['cds_grad_ratio'])
    else:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder))
        events.Reload()
        assert written <= set(events.Tags()['scalars'])
        logged = [line['cds_grad_ratio'] for line in lines if 'cds_grad_ratio' in line]
        assert [each.value for each in events.Scalars('cds_grad_ratio')] == pytest.approx(logged)


def test_gradients_are_not_measured_where_torch_cannot(
    stock_config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """mmdet's with_cp recomputes activations by a checkpoint that gives no gradient of a part of the losses."""
    cfg = add_cds(stock_config)
    cfg.model.backbone.with_cp = True
    cfg.log_level = 'WARNING'
    runner = train(cfg, DiagnosticsHook(interval=2))
    assert capsys.readouterr().out.count('DiagnosticsHook does not measure the gradients') == 1
    assert 'train/cds_grad_ratio' not in runner.message_hub.log_scalars
    assert 'train/cds_positives' in runner.message_hub.log_scalars


def looking() -> tuple[Any, Tensor]:
    """A hook in an iteration at which it looks, and the weight of the backbone."""
    backbone = torch.nn.Linear(1, 1, bias=False)
    hook: Any = DiagnosticsHook()
    hook._looking = True
    hook._model = torch.nn.Module()
    hook._model.backbone, hook._model.neck = backbone, torch.nn.Identity()
    return hook, backbone.weight.sum()


def test_a_distillation_is_no_part_of_the_task() -> None:
    hook, weight = looking()
    losses = {'loss_cls': 3 * weight, 'loss_cds_backbone0': 6 * weight, 'loss_distill_backbone0': 100 * weight}
    hook._after_model(hook._model, (), losses)
    assert hook._found['cds_grad_ratio'] == [pytest.approx(2)]


def test_losses_without_a_gradient_are_left_out() -> None:
    """As those of taps behind frozen layers."""
    hook, weight = looking()
    frozen = (9 * weight).detach()
    hook._after_model(hook._model, (), {'loss_cls': 3 * weight, 'loss_cds_backbone0': frozen})
    assert 'cds_grad_ratio' not in hook._found
    losses = {'loss_cls': 3 * weight, 'loss_cds_backbone0': frozen, 'loss_cds_backbone1': 6 * weight}
    hook._after_model(hook._model, (), losses)
    assert hook._found['cds_grad_ratio'] == [pytest.approx(2)]
