"""Reads batches of mmyolo: images (N, C, H, W) and one dict with the boxes of all images."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..step_data import Targets


def fits(data_samples: Any) -> bool:
    """Whether it is the dict that mmyolo's ``yolov5_collate`` makes."""
    return isinstance(data_samples, Mapping) and isinstance(data_samples.get('bboxes_labels'), Tensor)


def problem(inputs: Tensor, data_samples: Mapping[str, Any]) -> str:
    """What is wrong with a batch, '' if nothing is."""
    shape = tuple(data_samples['bboxes_labels'].shape)
    return '' if len(shape) == 2 and shape[1] in (6, 7) else f'bboxes_labels {shape}, not (M, 6) or, rotated, (M, 7)'


def read_targets(inputs: Tensor, data_samples: Mapping[str, Any]) -> Targets:
    """Read the annotations of a batch.

    The size of each image is that of the input, since the batch does not tell the padding from the image;
    :func:`~mmcds.models.step_data.image_areas` finds constant borders.

    Args:
        inputs (Tensor): The images as the model gets them (N, C, H, W).
        data_samples (Mapping): With ``bboxes_labels`` (M, 6), rows of (image, class, x1, y1, x2, y2) in pixels, or
            (M, 7) with rotated boxes, (image, class, cx, cy, w, h, angle).
    """
    rows = data_samples['bboxes_labels'].to(inputs.device, torch.float32)
    image = rows[:, 0].long()
    # A stable sort: rows come in the order of the images, but a batch augmentation may change that.
    rows = rows[image.argsort(stable=True)]
    counts = torch.bincount(image, minlength=len(inputs)).tolist()
    return Targets.empty(inputs, boxes=list(rows[:, 2:].split(counts)), labels=list(rows[:, 1].long().split(counts)))
