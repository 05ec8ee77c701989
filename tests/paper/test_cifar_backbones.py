"""The backbones for CIFAR: shapes, parameters against torchvision and by hand, gradients."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from mmengine.registry import DefaultScope
from torch import nn

import mmcds.models  # noqa: F401, registers them

pytest.importorskip('mmpretrain')

ALL = (0, 1, 2, 3)
BOTTLENECK, BASIC = [256, 512, 1024, 2048], [64, 128, 256, 512]
RESNEXT: dict[str, Any] = dict(type='mmcds.ResNeXt_CIFAR')
WIDE: dict[str, Any] = dict(type='ResNet_CIFAR', base_channels=128, expansion=2)
SE: dict[str, Any] = dict(type='mmcds.SEResNet_CIFAR')
PREACT: dict[str, Any] = dict(type='mmcds.PreActResNet_CIFAR')

# By hand: a squeeze-and-excitation layer of C channels and s squeezed ones has 2 C s + s + C parameters.
RESNET18 = 11_168_832
SE18 = RESNET18 + 2 * sum(2 * c * s + s + c for c, s in ((64, 8), (128, 8), (256, 16), (512, 32)))
# By hand: pytorch-cifar's pre-activation ResNet-18 without its classifier, and a BN of 512 channels behind it.
PREACT18 = 11_166_016 + 2 * 512


def build(cfg: dict[str, Any]) -> nn.Module:
    from mmpretrain.registry import MODELS

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(dict(out_indices=ALL, **cfg))


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ('cfg', 'make'),
    [
        (dict(**RESNEXT, depth=50), torchvision.models.resnext50_32x4d),
        (dict(**WIDE, depth=50), torchvision.models.wide_resnet50_2),
    ],
)
def test_as_many_parameters_as_torchvision_s(cfg: dict[str, Any], make: Callable[[], Any]) -> None:
    with torch.device('meta'):
        theirs = make()
    assert count(build(cfg)) == count(theirs) - count(theirs.fc) - 64 * 3 * 7 * 7 + 64 * 3 * 3 * 3


@pytest.mark.parametrize(
    ('cfg', 'parameters'),
    [
        (dict(type='ResNet_CIFAR', depth=18), RESNET18),
        (dict(**SE, depth=18), SE18),
        (dict(**PREACT, depth=18), PREACT18),
    ],
)
def test_as_many_parameters_as_by_hand(cfg: dict[str, Any], parameters: int) -> None:
    assert count(build(cfg)) == parameters


@pytest.mark.parametrize(
    ('cfg', 'channels'),
    [
        (dict(**RESNEXT, depth=50), BOTTLENECK),
        (dict(**WIDE, depth=50), BOTTLENECK),
        (dict(**SE, depth=18), BASIC),
        (dict(**SE, depth=50), BOTTLENECK),
        (dict(**PREACT, depth=18), BASIC),
        (dict(**PREACT, depth=34, base_channels=16), [16, 32, 64, 128]),
    ],
)
def test_four_stages_each_of_half_the_side(cfg: dict[str, Any], channels: list[int]) -> None:
    outputs = build(cfg).to('meta')(torch.zeros(2, 3, 32, 32, device='meta'))
    assert [tuple(each.shape) for each in outputs] == [
        (2, width, side, side) for width, side in zip(channels, (32, 16, 8, 4), strict=True)
    ]


@pytest.mark.parametrize(
    'cfg',
    [
        dict(**RESNEXT, depth=50, base_channels=16, stem_channels=16, groups=4),
        dict(**SE, depth=18, base_channels=8, stem_channels=8),
        dict(**SE, depth=50, base_channels=8, stem_channels=8),
        dict(**SE, depth=18, base_channels=8, stem_channels=8, with_cp=True),
        dict(**PREACT, depth=18, base_channels=8),
    ],
)
def test_the_gradient_reaches_every_parameter(cfg: dict[str, Any]) -> None:
    torch.manual_seed(0)
    extra = {} if cfg['type'] == PREACT['type'] else dict(zero_init_residual=False)
    model: Any = build({**cfg, **extra})
    model.init_weights()
    outputs = model(torch.randn(4, 3, 32, 32))
    sum(each.square().mean() for each in outputs).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_squeeze_and_excitation_is_between_the_second_convolution_and_the_addition() -> None:
    torch.manual_seed(0)
    model: Any = build(dict(**SE, depth=18, base_channels=8, stem_channels=8))
    model.eval()
    block = model.layer2[0]
    x = torch.randn(2, 8, 8, 8)
    branch = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
    layer = block.se_layer
    squeezed = torch.relu(layer.conv1.conv(branch.mean((2, 3), keepdim=True)))
    expected = (branch * torch.sigmoid(layer.conv2.conv(squeezed)) + block.downsample(x)).relu()
    torch.testing.assert_close(block(x), expected)


def test_pre_activation_adds_before_it_activates() -> None:
    torch.manual_seed(0)
    model: Any = build(dict(**PREACT, depth=18, base_channels=4))
    model.eval()
    x = torch.randn(2, 3, 16, 16)
    outputs = model(x)
    # With no weight in the second convolutions nothing is added to the stem's output, which has no activation.
    for block in model.layer1:
        nn.init.zeros_(block.conv2.weight)
    torch.testing.assert_close(model(x)[0], model.conv1(x))
    assert outputs[2].min() < 0 <= outputs[3].min()
    first = model.layer2[0]
    nn.init.zeros_(first.conv2.weight)
    inside = model.layer1(model.conv1(x))
    torch.testing.assert_close(first(inside), first.downsample(first.bn1(inside).relu()))


def test_weights_are_named_like_mmpretrain_s() -> None:
    resnet, se = (set(build(dict(type=kind, depth=50)).state_dict()) for kind in ('ResNet_CIFAR', 'SEResNet'))
    assert set(build(dict(**RESNEXT, depth=50)).state_dict()) == resnet
    assert set(build(dict(**SE, depth=50)).state_dict()) == se
    assert set(build(dict(**SE, depth=18)).state_dict()) > set(build(dict(type='ResNet', depth=18)).state_dict())


@pytest.mark.parametrize(('argument', 'value'), [('depth', 50), ('out_indices', (0, 4))])
def test_pre_activation_refuses_what_it_lacks(argument: str, value: Any) -> None:
    from mmcds.paper.backbones.preact_resnet import PreActResNetCIFAR

    arguments: dict[str, Any] = {'depth': 18, argument: value}
    with pytest.raises(ValueError, match=rf'backbone.{argument}=\d+ is not known; .*valid: '):
        PreActResNetCIFAR(**arguments)
