"""Pre-activation ResNet for CIFAR."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import build_norm_layer
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn

from mmcds.utils.errors import unknown_name

#: Blocks of the four stages, by depth.
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class PreActBlock(nn.Module):
    """BN - ReLU - conv3x3 - BN - ReLU - conv3x3, added to the input.

    Where the shape changes, a 1x1 convolution of the activated input is added instead.
    Source: https://arxiv.org/abs/1603.05027, figure 4(e).

    Args:
        in_channels (int): Channels in.
        out_channels (int): Channels out.
        stride (int): Stride of the first convolution.
        norm_cfg (dict): Config of the normalisation.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm_cfg: dict) -> None:
        super().__init__()
        self.bn1 = build_norm_layer(norm_cfg, in_channels)[1]
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn2 = build_norm_layer(norm_cfg, out_channels)[1]
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        active = self.relu(self.bn1(x))
        identity = x if self.downsample is None else self.downsample(active)
        return self.conv2(self.relu(self.bn2(self.conv1(active)))) + identity


class PreActResNetCIFAR(BaseBackbone):
    """Pre-activation ResNet behind a 3x3 convolution of stride 1, without max-pooling.

    The stages' outputs are sums that are not yet activated, but for the last one, which passes the
    final BN and ReLU. The weights are named like mmpretrain's ResNet: ``conv1``, ``layer1`` to ``layer4``,
    and ``bn1`` for the final BN, as the stem has none.

    Args:
        depth (int): 18 or 34.
        in_channels (int): Channels of the images. Defaults to 3.
        base_channels (int): Channels of the stem and the first stage; each stage doubles them. Defaults to 64.
        out_indices (Sequence[int]): Which of the four stages (0 to 3) to return. Defaults to ``(3,)``.
        norm_cfg (dict, optional): Config of the normalisation. Defaults to None, which is ``dict(type='BN')``.
        init_cfg (dict | list[dict], optional): Initial weights. Defaults to None, which is mmpretrain's
            ResNet's: Kaiming for convolutions, 1 for BN.

    Raises:
        ValueError: If the depth or one of the stages is not known.

    Example:
        >>> backbone = dict(type='mmcds.PreActResNet_CIFAR', depth=18, out_indices=(0, 1, 2, 3))
    """

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        base_channels: int = 64,
        out_indices: Sequence[int] = (3,),
        norm_cfg: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            init_cfg or [dict(type='Kaiming', layer=['Conv2d']), dict(type='Constant', val=1, layer=['_BatchNorm'])]
        )
        if depth not in DEPTHS:
            raise unknown_name('backbone.depth', depth, DEPTHS)
        for index in out_indices:
            if index not in range(4):
                raise unknown_name('backbone.out_indices', index, range(4))
        self.out_indices = tuple(out_indices)
        norm_cfg = norm_cfg or dict(type='BN')
        self.conv1 = nn.Conv2d(in_channels, base_channels, 3, 1, 1, bias=False)
        width = base_channels
        for stage, count in enumerate(DEPTHS[depth]):
            out_channels = base_channels * 2**stage
            blocks = []
            for i in range(count):
                blocks.append(PreActBlock(width, out_channels, 2 if stage and i == 0 else 1, norm_cfg))
                width = out_channels
            self.add_module(f'layer{stage + 1}', nn.Sequential(*blocks))
        self.bn1 = build_norm_layer(norm_cfg, width)[1]
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> the stages of ``out_indices``, (N, base_channels * 2**i, H / 2**i, W / 2**i)."""
        x = self.conv1(x)
        outputs = []
        for stage in range(4):
            x = self.get_submodule(f'layer{stage + 1}')(x)
            if stage in self.out_indices:
                outputs.append(self.relu(self.bn1(x)) if stage == 3 else x)
        return tuple(outputs)
