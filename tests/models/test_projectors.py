"""Projectors against their definitions, and batch statistics of few values."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmcds.models import IdentityProjector, MLPProjector, SepConvProjector
from mmcds.models.projectors import SepConv
from mmcds.models.projectors.sepconv import BatchNorm2d
from mmcds.models.taps import resolve_taps


def test_is_average_pooling() -> None:
    x = torch.randn(3, 4, 2, 5, dtype=torch.float64)
    projector = IdentityProjector(4, steps=1)
    torch.testing.assert_close(projector(x), torch.from_numpy(x.numpy().mean(axis=(2, 3))))
    assert projector.out_channels == 4
    assert list(projector.parameters()) == []


@pytest.mark.parametrize('num_layers', [1, 2, 3])
def test_equals_matrix_products(num_layers: int) -> None:
    torch.manual_seed(0)
    projector = MLPProjector(6, hidden_channels=5 if num_layers > 1 else None, out_channels=3, num_layers=num_layers)
    x = torch.randn(4, 6, 2, 3)
    expected = x.numpy().mean(axis=(2, 3))
    weights = [p.detach().numpy() for p in projector.parameters()]
    assert len(weights) == 2 * num_layers
    for layer in range(num_layers):
        expected = expected @ weights[2 * layer].T + weights[2 * layer + 1]
        expected = expected.clip(min=0) if layer < num_layers - 1 else expected
    torch.testing.assert_close(projector(x), torch.from_numpy(expected), rtol=1e-5, atol=1e-6)


def test_defaults_are_simclr_s_and_one_or_no_instance_is_enough() -> None:
    projector = MLPProjector(6, steps=2).train()
    assert [tuple(p.shape) for p in projector.parameters()] == [(6, 6), (6,), (128, 6), (128,)]
    assert projector(torch.randn(1, 6, 1, 1)).shape == (1, projector.out_channels)
    assert projector(torch.zeros(0, 6, 7, 7)).shape == (0, 128)


@pytest.mark.parametrize('field', ['hidden_channels', 'out_channels', 'num_layers'])
@pytest.mark.parametrize('value', [0, 1.5, 'wide'])
def test_wrong_arguments_of_an_mlp_are_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf'projector\.{field}={value!r} .*whole number, 1 or more$'):
        MLPProjector(6, **{field: value})


@pytest.mark.parametrize('shape', [(2, 3, 1, 1), (1, 3, 2, 1), (4, 3, 5, 5)])
@pytest.mark.parametrize('training', [True, False])
def test_is_torch_s(shape: tuple[int, ...], training: bool) -> None:
    ours, stock = BatchNorm2d(3).train(training), nn.BatchNorm2d(3).train(training)
    x = torch.randn(shape)
    assert torch.equal(ours(x), stock(x))
    for name, value in stock.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


@pytest.mark.parametrize('shape', [(1, 3, 1, 1), (0, 3, 4, 4)])
def test_one_value_and_none_use_the_running_statistics(shape: tuple[int, ...]) -> None:
    norm = BatchNorm2d(3, eps=0.0).train()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.fill_(1.0)
    norm.running_var.fill_(4.0)
    output = norm(torch.full(shape, 5.0))
    assert torch.equal(output, torch.full(shape, 2.0))  # (5 - 1) / 2
    assert norm.num_batches_tracked == 0
    with pytest.raises(ValueError, match='more than 1 value'):
        nn.BatchNorm2d(3).train()(torch.zeros(1, 3, 1, 1))


def from_the_table(cin: int, cout: int) -> nn.Sequential:
    """DW3x3 s2 p1 -> PW -> BN -> ReLU -> DW3x3 s1 p1 -> PW -> BN -> ReLU, convolutions without bias."""
    return nn.Sequential(
        nn.Conv2d(cin, cin, kernel_size=3, stride=2, padding=1, groups=cin, bias=False),
        nn.Conv2d(cin, cin, kernel_size=1, bias=False),
        nn.BatchNorm2d(cin),
        nn.ReLU(),
        nn.Conv2d(cin, cin, kernel_size=3, stride=1, padding=1, groups=cin, bias=False),
        nn.Conv2d(cin, cout, kernel_size=1, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(),
    )


def outputs_of(network: nn.Sequential, x: Tensor) -> list[Tensor]:
    kept: list[Tensor] = []
    for layer in network:
        # A copy: our ReLU works in place.
        layer.register_forward_hook(lambda _module, _args, output: kept.append(output.clone()))
    network(x)
    return kept


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('size', [(8, 8), (7, 5), (2, 2)])
def test_every_layer_is_the_paper_s(training: bool, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ours, paper = SepConv(4, 8).train(training), from_the_table(4, 8).train(training)
    paper.load_state_dict({name.removeprefix('op.'): value for name, value in ours.state_dict().items()})
    x = torch.randn(3, 4, *size)
    pairs = list(zip(outputs_of(ours.op, x), outputs_of(paper, x), strict=True))
    assert len(pairs) == 8
    for layer, (found, expected) in enumerate(pairs):
        assert torch.equal(found, expected), f'op.{layer}'
    assert pairs[-1][0].shape == (3, 8, -(-size[0] // 2), -(-size[1] // 2))
    for name, buffer in paper.named_buffers():
        assert torch.equal(ours.op.get_buffer(name), buffer)


def test_weights_have_the_released_code_s_names() -> None:
    norm = ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    names = {f'op.{i}.weight' for i in (0, 1, 4, 5)} | {f'op.{i}.{name}' for i in (2, 6) for name in norm}
    assert set(SepConv(2, 4).state_dict()) == names
    assert {name for name in SepConvProjector(2, 3).state_dict() if name.startswith('convs.2.')} == {
        f'convs.2.{name}' for name in names
    }


@pytest.mark.parametrize(('widths', 'embedding'), [([64, 128, 256, 512], 512), ([256, 512, 1024, 2048], 2048)])
def test_four_stages_end_at_one_width(widths: list[int], embedding: int) -> None:
    """The paper's 512 for ResNet-18/34 and 2048 for ResNet-50, with 3, 2, 1 and 0 SepConvs."""
    with torch.device('meta'):
        for place, tap in enumerate(resolve_taps(None, dict(type='FPN', in_channels=widths, out_channels=8))):
            projector = SepConvProjector(tap.channels, tap.steps)
            assert projector.out_channels == embedding
            assert sum(isinstance(each, SepConv) for each in projector.modules()) == 3 - place
            assert projector(torch.zeros(2, tap.channels, 4, 4)).shape == (2, embedding)


def test_without_steps_it_is_average_pooling() -> None:
    x = torch.arange(2 * 3 * 4, dtype=torch.float32).reshape(1, 2, 3, 4)
    projector = SepConvProjector(2, 5, num_convs=0)
    assert list(projector.parameters()) == []
    assert projector(x).tolist() == [[5.5, 17.5]]


@pytest.mark.parametrize('num_convs', [1, 3])
def test_one_instance_pooled_to_one_cell_trains(num_convs: int) -> None:
    projector = SepConvProjector(2, 0, num_convs).train()
    before = {name: value.clone() for name, value in projector.named_buffers()}
    x = torch.randn(1, 2, 1, 1)
    output = projector(x)
    output.sum().backward()
    # One value has no variance: what it is normalised by is what inference would use.
    assert torch.equal(output, projector.eval()(x))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in projector.parameters())
    for name, value in projector.named_buffers():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize('value', [-1, 1.5, 'two'])
def test_wrong_arguments_of_a_chain_are_named(value: Any) -> None:
    with pytest.raises(ValueError, match=rf'projector\.num_convs={value!r} .*whole number, 0 or more$'):
        SepConvProjector(2, 1, num_convs=value)
