"""No projection: pooling only, the paper's choice for the last stage."""

from torch import Tensor

from mmcds.registry import MODELS

from ..parts import Projector


@MODELS.register_module()
class IdentityProjector(Projector):
    """Average pooling; the contrast acts on the features themselves.

    Args:
        in_channels (int): Channels of the tap, and the width of the embedding.
        steps (int): Not used; every projector gets the distance of its tap from the last stage.
    """

    row_by_row = True

    def __init__(self, in_channels: int, steps: int = 0, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.out_channels = in_channels

    def forward(self, x: Tensor) -> Tensor:
        """(M, C, h, w) -> (M, C)."""
        return x.mean((2, 3))
