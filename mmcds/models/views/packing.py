"""Packs small second views on canvases of the first view's size, so that one backbone pass takes both views."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..step_data import Samples


@dataclass(frozen=True)
class Packing:
    """Layout of the second views of N images on canvases. Tiles left over repeat the first images.

    Attributes:
        count (int): N.
        tile (tuple[int, int]): (h, w) of a tile, in pixels.
        canvas (tuple[int, int]): (H, W) of a canvas, in pixels.
    """

    count: int
    tile: tuple[int, int]
    canvas: tuple[int, int]

    @property
    def grid(self) -> tuple[int, int]:
        """Number of tiles of a canvas, down and across."""
        return self.canvas[0] // self.tile[0], self.canvas[1] // self.tile[1]

    @property
    def order(self) -> list[int]:
        """Index of the image on each tile, canvas after canvas, row after row."""
        per_canvas = self.grid[0] * self.grid[1]
        tiles = -(-self.count // per_canvas) * per_canvas
        return [tile % self.count for tile in range(tiles)]

    def pack(self, tiles: Tensor) -> Tensor:
        """Put the tiles on canvases.

        Args:
            tiles (Tensor): One per entry of ``order`` (T, C, h, w).

        Returns:
            Tensor: (T / tiles of a canvas, C, H, W); 0, the mean colour, where a tile does not reach.
        """
        (down, across), (h, w) = self.grid, self.tile
        canvases = tiles.new_zeros(len(tiles) // (down * across), tiles.shape[1], *self.canvas)
        placed = tiles.view(len(canvases), down, across, tiles.shape[1], h, w).permute(0, 3, 1, 4, 2, 5)
        canvases[:, :, : down * h, : across * w] = placed.reshape(len(canvases), tiles.shape[1], down * h, across * w)
        return canvases

    def place(self, samples: Samples) -> Samples:
        """Move the RoIs of the second views to the canvases, once for each tile that shows them.

        Args:
            samples (Samples): Of the N images; ``rois`` (M, 1 + 2 k) as (image, x, y, ...), or (M, 6) as
                (image, cx, cy, w, h, angle), in pixels.
        """
        rois = samples.rois[1]
        image = rois[:, 0].long()
        # Copy r of image i is tile r N + i.
        copies = -(-len(self.order) // self.count)
        index = torch.arange(len(rois), device=rois.device).repeat(copies)
        tile = (image + torch.arange(copies, device=rois.device)[:, None] * self.count).flatten()
        if len(self.order) % self.count:
            kept = (tile < len(self.order)).nonzero().flatten()
            index, tile = index[kept], tile[kept]
        (down, across), (h, w) = self.grid, self.tile
        canvas, tile = tile // (down * across), tile % (down * across)
        corner = torch.stack([tile % across * w, tile // across * h], 1).to(rois.dtype)
        # A rotated box (cx, cy, w, h, angle) is moved by its centre, others by all their points.
        columns = rois.shape[1] - 1
        shift = F.pad(corner, (0, 3)) if columns == 5 else corner.repeat(1, columns // 2)
        moved = rois[index, 1:] + shift
        second = torch.cat([canvas[:, None].to(rois.dtype), moved], 1)
        return replace(samples, rois=(samples.rois[0], second), shown=index)


def packing_of(size: Sequence[int], scaled: Sequence[int], scale: float, count: int) -> Packing:
    """Choose the layout of the second views.

    Args:
        size (Sequence[int]): (H, W) of the first view's input.
        scaled (Sequence[int]): (h, w) of a second view without packing.
        scale (float): Its scale, at most 0.5.
        count (int): Number of images in the batch.
    """
    # Fit int(1 / scale) tiles per side, even if rounding to the size divisor made them slightly too large.
    fit = int(1 / scale)
    tile = tuple(max(min(small, side // fit), 1) for side, small in zip(size, scaled, strict=True))
    return Packing(count, (tile[0], tile[1]), (size[0], size[1]))
