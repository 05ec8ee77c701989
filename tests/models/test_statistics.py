"""Running statistics after forward and backward against those of a model that never saw the second batch."""

from copy import deepcopy

import pytest
import torch
import torch.utils.checkpoint as cp
from torch import Tensor, nn
from toys import build, total, toy_batch, toy_model

from mmcds import add_cds
from mmcds.models import TwoViewForward
from mmcds.models.statistics import keep_statistics, syncs_statistics


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
    """Two layers with BatchNorm, computed again in the backward pass if asked, as mmdet's ResNet does it."""

    def __init__(self, again: bool) -> None:
        super().__init__()
        self.again = again
        self.first, self.second = (nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.second):
            x = cp.checkpoint(layer, x, use_reentrant=False) if self.again else layer(x)
        return x


@pytest.mark.parametrize('again', [False, True])
def test_another_batch_leaves_them_and_gets_the_same_gradient(again: bool) -> None:
    torch.manual_seed(0)
    model = Block(again).train()
    plain = deepcopy(model)
    plain.again = False
    model.second[1].eval()  # frozen, as with norm_eval
    plain.second[1].eval()
    x, before, checkpoint = torch.randn(4, 3, 5, 5), statistics(model), cp.checkpoint
    with keep_statistics(model):
        output = model(x)
    assert cp.checkpoint is checkpoint
    output.square().sum().backward()
    for name, value in statistics(model).items():
        assert torch.equal(value, before[name]), name
    plain(x).square().sum().backward()
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(model.get_parameter(name).grad, parameter.grad)
    assert not torch.equal(statistics(plain)['first.1.running_mean'], before['first.1.running_mean'])
    # What is left is as it was: the next batch is tracked.
    model(x)
    assert model.first[1].num_batches_tracked == 1


def test_an_error_leaves_nothing_changed() -> None:
    model, checkpoint = Block(True).train(), cp.checkpoint
    with pytest.raises(RuntimeError), keep_statistics(model):
        model(torch.randn(4, 7, 5, 5))
    assert cp.checkpoint is checkpoint
    assert model.first[1].track_running_stats


@pytest.mark.parametrize('with_cp', [False, True])
def test_a_detector_s_are_the_stock_s_after_the_backward_pass(with_cp: bool) -> None:
    cfg = toy_model('retinanet', with_cp=with_cp)
    stock = build(cfg)
    cds = build(add_cds(cfg, taps=['backbone.1', 'backbone.3', 'neck.0']), like=stock)
    TwoViewForward(cds).attach().seed = 1
    for model in (stock, cds):
        total(model(**toy_batch(model), mode='loss')).backward()
    found = statistics(cds)
    assert found['backbone.layer1.0.bn1.num_batches_tracked'] == (2 if with_cp else 1)
    for name, value in statistics(stock).items():
        assert torch.equal(found[name], value), name
