"""SimCLR's projection head: pooling and a small MLP."""

from itertools import pairwise

from torch import Tensor, nn

from mmcds.registry import MODELS
from mmcds.utils.errors import check_count, has_no_effect

from ..parts import Projector


@MODELS.register_module()
class MLPProjector(Projector):
    """Average pooling, then linear layers with ReLU between them (SimCLR, SupCon).

    It has no batch statistics, so several ranks give the same embeddings as one process, and one instance is
    enough.

    Args:
        in_channels (int): Channels of the tap.
        steps (int): Not used; every projector gets the distance of its tap from the last stage.
        hidden_channels (int, optional): Width of the hidden layers, >= 1. Defaults to None,
            which is ``in_channels``.
        out_channels (int): Width of the embedding, >= 1. Defaults to 128, SimCLR's.
        num_layers (int): Linear layers, >= 1. Defaults to 2.
    """

    row_by_row = True

    def __init__(
        self,
        in_channels: int,
        steps: int = 0,
        hidden_channels: int | None = None,
        out_channels: int = 128,
        num_layers: int = 2,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_count('projector.out_channels', out_channels, 1)
        check_count('projector.num_layers', num_layers, 1)
        hidden = in_channels if hidden_channels is None else hidden_channels
        check_count('projector.hidden_channels', hidden, 1)
        if hidden_channels is not None and num_layers == 1:
            raise has_no_effect('projector.hidden_channels', hidden_channels, 'num_layers=1', 'set num_layers=2')
        widths = [in_channels, *[hidden] * (num_layers - 1), out_channels]
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-1])
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(M, C, h, w) -> (M, out_channels)."""
        return self.layers(x.mean((2, 3)))
