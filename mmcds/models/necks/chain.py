"""Necks that stand in where the stock model's cannot carry the contrast itself."""

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule

from mmcds.registry import MODELS


@MODELS.register_module()
class PassThroughNeck(BaseModule):
    """Gives on what it gets: for models without a neck."""

    def forward(self, inputs: Any) -> Any:
        """Return ``inputs``."""
        return inputs


class NeckChain(BaseModule):
    """A list of necks, each fed by the one before.

    mmdet makes an ``nn.Sequential`` of it, which would also call the contrast's own module. The
    names of the weights are the same.

    Args:
        necks (Sequence[nn.Module]): In the order of the calls.
    """

    def __init__(self, necks: Sequence[Any]) -> None:
        super().__init__()
        self._names = [str(i) for i in range(len(necks))]
        for name, neck in zip(self._names, necks, strict=True):
            self.add_module(name, neck)

    def forward(self, inputs: Any) -> Any:
        """Pass ``inputs`` through all necks."""
        for name in self._names:
            inputs = self._modules[name](inputs)
        return inputs
