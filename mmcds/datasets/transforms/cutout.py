"""Cutout as the released code has it."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmcds.registry import TRANSFORMS
from mmcds.utils.errors import check_count


@TRANSFORMS.register_module()
class Cutout(BaseTransform):
    """Fills a square around a random pixel with ``pad_val``; the borders clip it (DeVries and Taylor 2017).

    mmcv's Cutout shifts a square that crosses the top or left border inside, and so hides more on average.

    Args:
        size (int): Side of the square in pixels, >= 1. Defaults to 16, the released code's on CIFAR.
        pad_val (int): Value of its pixels, 0..255. Defaults to 0: the released code cuts before it normalises.

    Raises:
        ValueError: If ``size`` is smaller than 1.
    """

    def __init__(self, size: int = 16, pad_val: int = 0) -> None:
        self.size = check_count('Cutout.size', size, 1)
        self.pad_val = pad_val

    @cache_randomness
    def _centre(self, height: int, width: int) -> tuple[int, int]:
        return int(np.random.randint(height)), int(np.random.randint(width))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Cut 'img' (H, W, C), on a copy."""
        image = results['img'].copy()
        y, x = self._centre(*image.shape[:2])
        low = self.size // 2
        image[max(y - low, 0) : y - low + self.size, max(x - low, 0) : x - low + self.size] = self.pad_val
        results['img'] = image
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, pad_val={self.pad_val})'
