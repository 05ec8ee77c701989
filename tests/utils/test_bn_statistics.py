"""Running statistics after forward and backward against those of a model that never saw the second batch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.utils.checkpoint as cp
from classifiers import build_classifier, classifier_batch, classifier_config
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.utils.checkpoint import checkpoint
from toys import build, total, toy_batch, toy_model

from mmcds import add_cds
from mmcds.models import TwoViewForward
from mmcds.utils.bn_statistics import (
    keep_statistics,
    recomputes,
    refuse_unknown_recomputing,
    syncs_statistics,
)


def statistics(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.named_buffers() if 'cds' not in name}


@pytest.mark.parametrize(
    ('layer', 'expected'),
    [(nn.SyncBatchNorm(3), True), (nn.BatchNorm2d(3), False), (nn.GroupNorm(1, 3), False), (nn.Identity(), False)],
)
def test_which_layers_normalise_over_ranks(layer: nn.Module, expected: bool) -> None:
    class SyncBatchNorm(nn.Module):
        """As mmcv's, whose base class is no batch normalisation of torch's."""

    class Own(SyncBatchNorm):
        pass

    assert syncs_statistics(layer) is expected
    assert syncs_statistics(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(layer))) is expected
    assert syncs_statistics(nn.Sequential(Own(), layer))


class Block(nn.Module):
    """Two layers with BatchNorm, computed again in the backward pass if asked, by a function imported by name."""

    def __init__(self, with_cp: bool, reentrant: bool = False) -> None:
        super().__init__()
        self.with_cp, self.reentrant = with_cp, reentrant
        self.first, self.second = (nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.second):
            x = checkpoint(layer, x, use_reentrant=self.reentrant) if self.with_cp else layer(x)
        return x


def wrapped_by_torch(model: Any) -> Any:
    model.first, model.second = checkpoint_wrapper(model.first), checkpoint_wrapper(model.second)
    return model


def wrapped_by_mmengine(model: Block) -> Block:
    turn_on_activation_checkpointing(model, ['first', 'second'])
    return model


KINDS: dict[str, Callable[[], Block]] = {
    'plain': lambda: Block(False),
    'by name': lambda: Block(True),
    'switched on by 1': lambda: Block(1),  # type: ignore[arg-type]
    'by name, reentrant': lambda: Block(True, reentrant=True),
    'CheckpointWrapper': lambda: wrapped_by_torch(Block(False)),
    'activation_checkpointing of mmengine': lambda: wrapped_by_mmengine(Block(False)),
}


@pytest.mark.parametrize('kind', list(KINDS))
def test_another_batch_leaves_them_and_gets_the_same_gradient(kind: str) -> None:
    """Also where the whole call is computed again in the backward pass; nothing of torch is replaced meanwhile."""
    torch.manual_seed(0)
    model = KINDS[kind]().train()
    plain = Block(False).train()
    weights = {name.replace('_checkpoint_wrapped_module.', ''): value for name, value in model.state_dict().items()}
    plain.load_state_dict(weights)
    assert recomputes(model) is (kind != 'plain')
    for each in (model, plain):
        next(norm for norm in reversed(list(each.modules())) if isinstance(norm, nn.BatchNorm2d)).eval()  # as norm_eval
    x, before, function = torch.randn(4, 3, 5, 5, requires_grad=True), statistics(model), cp.checkpoint

    def quietly(inputs: Tensor) -> Tensor:
        with keep_statistics(model):
            assert cp.checkpoint is function
            return model(inputs)

    checkpoint(quietly, x, use_reentrant=False).square().sum().backward()
    for name, value in statistics(model).items():
        assert torch.equal(value, before[name]), name
    plain(x).square().sum().backward()
    for mine, expected in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, expected.grad)
    assert not torch.equal(statistics(plain)['first.1.running_mean'], torch.zeros(3))
    # What is left is as it was: the next batch is tracked, and checkpointed where it was.
    assert recomputes(model) is (kind != 'plain')
    model(x).sum().backward()
    tracked = next(norm for norm in model.modules() if isinstance(norm, nn.BatchNorm2d))
    assert tracked.num_batches_tracked == (1 if kind == 'plain' else 2)


class OwnSwitch(Block):
    """Computes again by a switch that nobody knows."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__(False, reentrant)
        self.save_memory = True

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.second):
            x = checkpoint(layer, x, use_reentrant=self.reentrant)
        return x


@pytest.mark.parametrize('outer', [False, True])
def test_a_switch_that_is_not_known_is_refused(outer: bool) -> None:
    model = OwnSwitch(reentrant=True).train()
    x = torch.randn(4, 3, 5, 5, requires_grad=True)
    output = checkpoint(model, x, use_reentrant=False) if outer else model(x)
    with pytest.raises(
        ValueError, match=r'^OwnSwitch recomputes activations by .* one of the names with_cp, use_checkp'
    ):
        refuse_unknown_recomputing(model, (output,))
    refuse_unknown_recomputing(model, (OwnSwitch(reentrant=False).train()(x),))
    refuse_unknown_recomputing(model.eval(), (output,))


def test_norms_that_track_in_another_way_are_kept_too() -> None:
    """An instance norm updates its statistics whatever its flag says."""
    norm: Any = nn.InstanceNorm2d(3, track_running_stats=True).train()
    before = statistics(norm)
    with keep_statistics(norm):
        norm(torch.randn(4, 3, 5, 5) + 7)
    assert all(torch.equal(value, before[name]) for name, value in statistics(norm).items())
    norm(torch.randn(4, 3, 5, 5) + 7)
    assert not torch.equal(norm.running_mean, before['running_mean'])


def test_an_error_leaves_nothing_changed() -> None:
    model = Block(True).train()
    with pytest.raises(RuntimeError), keep_statistics(model):
        model(torch.randn(4, 7, 5, 5))
    assert model.with_cp
    assert model.first[1].track_running_stats


@pytest.mark.parametrize('recompute', [False, True])
def test_a_backbone_that_checkpoints_by_name_has_the_stock_s_statistics(recompute: bool) -> None:
    """SE-ResNet imports checkpoint by name."""
    cfg = classifier_config(type='mmcds.SEResNet_CIFAR', with_cp=True)
    stock = build_classifier(cfg)
    cds = build_classifier(add_cds(cfg, concat=False, recompute=recompute), like=stock)
    TwoViewForward(cds).attach().begin_step(seed=1)
    for model in (stock, cds):
        total(model(**classifier_batch(model, [0, 1, 2, 0]), mode='loss')).backward()
    found = statistics(cds)
    assert found['backbone.layer2.0.bn1.num_batches_tracked'] == 2
    for name, value in statistics(stock).items():
        assert torch.equal(found[name], value), name
    assert cds.backbone.layer1[0].conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize('with_cp', [False, True])
def test_a_detector_s_are_the_stock_s_after_the_backward_pass(with_cp: bool) -> None:
    cfg = toy_model('retinanet', with_cp=with_cp)
    stock = build(cfg)
    cds = build(add_cds(cfg, taps=['backbone.1', 'backbone.3', 'neck.0']), like=stock)
    TwoViewForward(cds).attach().begin_step(seed=1)
    for model in (stock, cds):
        total(model(**toy_batch(model), mode='loss')).backward()
    found = statistics(cds)
    assert found['backbone.layer1.0.bn1.num_batches_tracked'] == (2 if with_cp else 1)
    for name, value in statistics(stock).items():
        assert torch.equal(found[name], value), name
