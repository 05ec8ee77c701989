"""The paper's projection head: a chain of separable convolutions."""

from itertools import pairwise

from torch import Tensor, nn

from mmcds.registry import MODELS
from mmcds.utils.errors import check_count

from ..parts import Projector


class BatchNorm2d(nn.BatchNorm2d):
    """``nn.BatchNorm2d`` that uses its running statistics if a batch has at most one value per channel.

    A batch may have a single instance, pooled to one cell. torch raises there, since one value has no variance.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (N, C, H, W) per channel, in training by the batch's own statistics."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] <= 1:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(x)


class SepConv(nn.Module):
    """Two depthwise-separable convolutions, the first of stride 2, as in the released code.

    DW3x3 s2 -> PW Cin->Cin -> BN -> ReLU -> DW3x3 s1 -> PW Cin->Cout -> BN -> ReLU, without bias.
    The members are numbered as in the released code (``op.0`` .. ``op.7``), whose checkpoints load.

    Args:
        in_channels (int): Cin.
        out_channels (int): Cout.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()

        def separable(stride: int, out: int) -> list[nn.Module]:
            return [
                nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False),
                nn.Conv2d(in_channels, out, 1, bias=False),
                BatchNorm2d(out),
                nn.ReLU(inplace=True),
            ]

        self.op = nn.Sequential(*separable(2, in_channels), *separable(1, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(M, Cin, h, w) -> (M, Cout, ceil(h / 2), ceil(w / 2))."""
        return self.op(x)


@MODELS.register_module()
class SepConvProjector(Projector):
    """Chain of :class:`SepConv`, each doubling the channels, then average pooling. No linear layer.

    The paper gives stage i of four (4 - i) of them, so that every stage ends with the width
    and about the size of the last one, which has none (released code).

    Args:
        in_channels (int): Channels of the tap.
        steps (int): Stages between the tap and the last one; the number of SepConvs unless
            ``num_convs`` is given.
        num_convs (int, optional): SepConvs in the chain, >= 0. Defaults to None, which is ``steps``.

    Attributes:
        out_channels (int): Width of the embedding, ``in_channels * 2 ** num_convs``.
    """

    def __init__(
        self, in_channels: int, steps: int, num_convs: int | None = None, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        count = steps if num_convs is None else check_count('projector.num_convs', num_convs, 0)
        widths = [in_channels * 2**i for i in range(count + 1)]
        self.convs = nn.Sequential(*(SepConv(a, b) for a, b in pairwise(widths)))
        self.out_channels = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """(M, C, h, w) -> (M, out_channels)."""
        return self.convs(x).mean((2, 3))
