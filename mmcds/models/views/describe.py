"""Reads a view's geometry and annotations off mmdet's and mmpretrain's data samples."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def image_sizes(data_samples: Sequence[Any], inputs: Tensor) -> Tensor:
    """(h, w) of each image without its padding, (N, 2), float32; the whole input where it is not known."""
    whole = tuple(inputs.shape[2:])
    sizes = [tuple(sample.metainfo.get('img_shape', whole))[:2] for sample in data_samples]
    # A batch augmentation resizes the inputs, and not every one says so in img_shape.
    clipped = [(min(h, whole[0]), min(w, whole[1])) for h, w in sizes]
    return torch.tensor(clipped, dtype=torch.float32, device=inputs.device)


def image_labels(data_samples: Sequence[Any], device: torch.device) -> Tensor:
    """Class of each image (N,), int64; -1 in detection, without a label and with several, as in an image that
    MixUp or CutMix made of two.
    """
    unknown = torch.full((1,), -1, dtype=torch.long, device=device)
    found = [getattr(sample, 'gt_label', None) for sample in data_samples]
    # mmdet's ReID samples have the label one level further down.
    found = [getattr(label, 'label', label) for label in found]
    # Joined on the device: reading each label would wait for it.
    rows = [unknown if label is None or label.numel() != 1 else label.to(device).view(1) for label in found]
    scores: list[Any] = [getattr(sample, 'gt_score', None) for sample in data_samples]
    if all(score is not None for score in scores):
        # The preprocessor's soft labels: of a mixed image no class has all of it.
        highest = torch.stack([score.to(device).amax() for score in scores])
        return torch.where(highest > 0.999, torch.cat(rows), unknown)
    return torch.cat(rows)


def instances(data_samples: Sequence[Any], device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """Boxes (n_i, 4), float32, and classes (n_i,), int64, of each image; empty where there are none."""
    boxes, labels = [], []
    for sample in data_samples:
        found = getattr(sample, 'gt_instances', None)
        if found is None or 'bboxes' not in found or 'labels' not in found:
            boxes.append(torch.zeros(0, 4, device=device))
            labels.append(torch.zeros(0, dtype=torch.long, device=device))
            continue
        # mmdet has boxes as plain tensors or in its own box types.
        box = getattr(found.bboxes, 'tensor', found.bboxes)
        boxes.append(box.to(device, torch.float32))
        labels.append(found.labels.to(device, torch.long))
    return boxes, labels


def occupied(data_samples: Sequence[Any], device: torch.device) -> list[Tensor]:
    """All annotated boxes of each image (m_i, 4), float32, crowds and other ignored ones included."""
    found = []
    for sample in data_samples:
        parts = [getattr(sample, name, None) for name in ('gt_instances', 'ignored_instances')]
        boxes = [getattr(part.bboxes, 'tensor', part.bboxes) for part in parts if part is not None and 'bboxes' in part]
        rows = [box.to(device, torch.float32) for box in boxes]
        found.append(torch.cat(rows) if rows else torch.zeros(0, 4, device=device))
    return found
