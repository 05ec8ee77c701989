"""Where an image is in its padded input."""

import torch
from torch import Tensor


def image_areas(images: Tensor | None, sizes: Tensor) -> Tensor:
    """The part of each image inside its constant borders.

    A border is made of the rows and columns at the bottom and on the right that equal the last pixel of the image in
    all channels, and of those at the top and on the left that equal its first pixel: what a ``Pad`` or an ``Expand``
    adds, on whichever side a flip puts it. There is nothing to contrast in it, whatever made it. An image without
    anything else keeps its size.

    Args:
        images (Tensor | None): The inputs (N, C, H, W), normalised or not. None: no border is looked for.
        sizes (Tensor): (h, w) of each image in its input (N, 2), float32; beyond is the padding of the batch.

    Returns:
        Tensor: (N, 4) as (x1, y1, x2, y2) in pixels, float32.
    """
    whole = torch.cat([torch.zeros_like(sizes), sizes.flip(1)], 1)
    if images is None:
        return whole
    # On the device throughout: a number read here would wait for all that the step has launched.
    rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
    h, w = sizes.long().clamp(min=1).unbind(1)
    inside = (rows < h[:, None])[:, :, None] & (columns < w[:, None])[:, None]
    index = torch.arange(len(images), device=images.device)
    first, last = images[:, :, 0, 0], images[index, :, h - 1, w - 1]
    after, before = ((images != corner[:, :, None, None]).any(1) & inside for corner in (first, last))
    x1 = torch.where(after.any(1), columns, images.shape[3]).amin(1)
    y1 = torch.where(after.any(2), rows, images.shape[2]).amin(1)
    x2 = ((columns + 1) * before.any(1)).amax(1)
    y2 = ((rows + 1) * before.any(2)).amax(1)
    found = torch.stack([x1, y1, x2, y2], 1).to(sizes.dtype)
    return torch.where((found[:, 2:] > found[:, :2]).all(1, keepdim=True), found, whole)
