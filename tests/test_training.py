"""What users switch on beside CDS: autocast, accumulation, checkpointing, EMA, SyncBN, learning-rate scaling."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from toys import build, gradients, hooks_of, total, toy_batch, toy_config, toy_model

from mmcds import add_cds
from mmcds.models import TwoViewForward, find_supervision


def cds_model(**cds: Any) -> Any:
    return build(add_cds(toy_model(), loss_weight=1.0, **cds))


def step(model: Any, batch: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """The losses of one step, everything random in it seeded."""
    two_views = TwoViewForward(model).attach()
    two_views.begin_step(seed=seed)
    torch.manual_seed(seed)
    losses = model(**batch, mode='loss')
    two_views.detach()
    return losses


def model_queue(runner: Runner) -> Any:
    return find_supervision(runner.model).queues['backbone0']


def run(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def test_bf16_autocast_leaves_the_contrast_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    # RetinaNet: mmcv's nms, which a two-stage detector calls in training, takes no bfloat16 on a CPU.
    model = build(add_cds(toy_model('retinanet'), loss_weight=1.0))
    seen = []
    loss = find_supervision(model).loss
    forward = loss.forward

    def watched(embeddings: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append(embeddings.dtype)
        return forward(embeddings, *rest)

    monkeypatch.setattr(loss, 'forward', watched)
    batch = toy_batch(model)
    exact = step(model, batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = step(model, batch)
        half = model.backbone(batch['inputs'])[0]
    assert half.dtype == torch.bfloat16
    assert set(seen) == {torch.float32}
    total(losses).backward()
    for name, value in losses.items():
        if name.startswith('loss_cds'):
            # The features were rounded to 8 bits; the loss of them was not.
            torch.testing.assert_close(value, exact[name], rtol=0.05, atol=0.02)
    # The stock model's, on a map of one pixel (P7 of small images): in bfloat16 on a CPU, torch's gradient of such a
    # convolution's weight is now and then not finite, with CDS or without.
    broken = {'neck.fpn_convs.4.conv.weight'}
    assert {name for name, grad in gradients(model).items() if not grad.isfinite().all()} <= broken


def test_gradient_accumulation_is_the_mean_of_the_steps() -> None:
    model = cds_model()
    batches = [toy_batch(model, seed=seed) for seed in (1, 2)]
    expected: dict[str, torch.Tensor] = {}
    for batch in batches:
        copy = deepcopy(model)
        total(step(copy, batch)).backward()
        for name, grad in gradients(copy).items():
            expected[name] = expected.get(name, 0) + grad / 2
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0), accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    for i, batch in enumerate(batches):
        with wrapper.optim_context(model):
            losses = step(model, batch)
        wrapper.update_params(total(losses))
        moved = any(not torch.equal(p, before[name]) for name, p in model.named_parameters())
        assert moved == (i == 1)
    for name, p in model.named_parameters():
        torch.testing.assert_close(before[name] - p, expected[name], rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize('cds', [{}, {'taps': ['backbone.1', 'neck.0']}, {'stop_gradient': True}])
def test_activation_checkpointing_changes_no_gradient(cds: dict[str, Any]) -> None:
    plain = build(add_cds(toy_model(), **cds))
    saving = build(add_cds(toy_model(with_cp=True), **cds))
    saving.load_state_dict(plain.state_dict())
    batch = toy_batch(plain)
    for model in (plain, saving):
        total(step(model, batch)).backward()
    expected, found = gradients(plain), gradients(saving)
    assert expected.keys() == found.keys()
    for name, grad in expected.items():
        torch.testing.assert_close(found[name], grad, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize('update_buffers', [False, True])
def test_ema_leaves_the_queue_alone(update_buffers: bool, toy_data: Path, tmp_path: Path) -> None:
    """The model's queue holds unit vectors, as many as were put in, and a resumed run finds it again."""
    cfg = add_cds(toy_config(toy_data, tmp_path), queue_length=16)
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='EMAHook', momentum=0.5, update_buffers=update_buffers)]
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
    runner = run(deepcopy(cfg))
    queue = model_queue(runner)
    kept, _ = queue.get()
    torch.testing.assert_close(kept.norm(dim=1), torch.ones(len(kept)))
    # Two epochs of the twelve boxes that make_toy_data draws.
    assert int(queue.cursor) == 24
    ema = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook').ema_model
    # Never called, it has what its first call removes: the check that a training has a CDSHook.
    assert hooks_of(ema) == 1
    assert hooks_of(runner.model) == 0

    resumed = Runner.from_cfg(Config({**cfg.to_dict(), 'resume': True, 'experiment_name': 'resumed'}))
    resumed.call_hook('before_run')
    resumed.load_or_resume()
    again, _ = model_queue(resumed).get()
    assert torch.equal(again, kept)


def test_sync_bn_keeps_every_name_and_a_step() -> None:
    from mmengine.model import convert_sync_batchnorm, revert_sync_batchnorm

    model = cds_model(projector=dict(type='SepConvProjector'), view=dict(type='PhotometricView'))
    names = list(model.state_dict())
    synced = convert_sync_batchnorm(model, 'torch')
    assert list(synced.state_dict()) == names
    projector = find_supervision(synced).projectors['backbone0']
    assert any(isinstance(each, torch.nn.SyncBatchNorm) for each in projector.modules())
    # One process has nothing to synchronise; torch runs it on a CPU then.
    losses = step(synced, toy_batch(synced))
    total(losses).backward()
    assert all(losses[name] > 0 for name in losses if name.startswith('loss_cds'))
    assert list(revert_sync_batchnorm(synced).state_dict()) == names


def test_auto_scale_lr(toy_data: Path, tmp_path: Path) -> None:
    cfg = add_cds(toy_config(toy_data, tmp_path))
    cfg.auto_scale_lr = dict(enable=True, base_batch_size=8)
    cfg.train_cfg.max_epochs = 1
    runner = run(cfg)
    assert runner.optim_wrapper.get_lr()['lr'][0] == pytest.approx(0.01 * 2 / 8)
    assert runner.message_hub.get_scalar('train/loss_cds_backbone0').data[0].size == 3


def test_the_runner_logs_what_is_added(toy_data: Path, tmp_path: Path) -> None:
    view = dict(type='PhotometricView')
    cfg = add_cds(toy_config(toy_data, tmp_path), schedule=dict(stop=1, unit='epoch'), view=view)
    runner = run(cfg)
    scalars = runner.message_hub.log_scalars
    weights = list(scalars['train/cds_weight'].data[0])
    assert weights == [1, 1, 1, 0, 0, 0]
    values = list(scalars['train/loss_cds_backbone3'].data[0])
    assert all(value > 0 for value in values[:3])
    assert values[3:] == [0, 0, 0]
