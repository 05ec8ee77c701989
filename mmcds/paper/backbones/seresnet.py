"""Squeeze-and-excitation ResNets of depth 18 and 34, and all of them with the stem for CIFAR."""

from typing import Any

from mmpretrain.models.backbones import ResNet_CIFAR
from mmpretrain.models.backbones import SEResNet as DeepSEResNet
from mmpretrain.models.backbones.resnet import BasicBlock
from mmpretrain.models.utils import SELayer
from torch import Tensor
from torch.utils.checkpoint import checkpoint


class SEBasicBlock(BasicBlock):
    """Basic block whose second convolution is followed by squeeze and excitation, before the addition.

    mmpretrain has the bottleneck only. Source: https://arxiv.org/abs/1709.01507, figure 3.

    Args:
        in_channels (int): Channels in.
        out_channels (int): Channels out.
        se_ratio (int): ``out_channels / se_ratio``, rounded to a multiple of 8, is the squeezed width.
            Defaults to 16.
        **kwargs: As mmpretrain's BasicBlock takes them.
    """

    def __init__(self, in_channels: int, out_channels: int, se_ratio: int = 16, **kwargs: Any) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        self.se_layer = SELayer(out_channels, ratio=se_ratio)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        if self.with_cp and x.requires_grad:
            return self.relu(checkpoint(self._sum, x, use_reentrant=False))
        return self.relu(self._sum(x))

    def _sum(self, x: Tensor) -> Tensor:
        out = self.relu(self.norm1(self.conv1(x)))
        out = self.se_layer(self.norm2(self.conv2(out)))
        return self.drop_path(out) + (x if self.downsample is None else self.downsample(x))


class SEResNet(DeepSEResNet):
    """mmpretrain's SEResNet, also of depth 18 and 34.

    Args:
        depth (int): 18, 34, 50, 101 or 152.
        se_ratio (int): Squeeze ratio. Defaults to 16.
        **kwargs: As mmpretrain's ResNet takes them.
    """

    arch_settings = {
        18: (SEBasicBlock, (2, 2, 2, 2)),
        34: (SEBasicBlock, (3, 4, 6, 3)),
        **DeepSEResNet.arch_settings,
    }


class SEResNetCIFAR(SEResNet, ResNet_CIFAR):
    """:class:`SEResNet` behind a 3x3 convolution of stride 1, without max-pooling.

    The stages are SEResNet's, stem and forward those of ``ResNet_CIFAR``; the arguments are SEResNet's.

    Example:
        >>> backbone = dict(type='mmcds.SEResNet_CIFAR', depth=18, out_indices=(0, 1, 2, 3))
    """
