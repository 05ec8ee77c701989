"""Reads batches of mmdet and mmpretrain: images (N, C, H, W) and a list of N data samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..step_data import Targets

#: Key in the metainfo of a data sample; False means that its image is used for the contrast only.
LABELLED = 'labelled'


def read_targets(inputs: Tensor, data_samples: Sequence[Any]) -> Targets:
    """Read the annotations of a batch.

    Args:
        inputs (Tensor): The images as the model gets them (N, C, H, W).
        data_samples (Sequence): The N data samples, with ``gt_instances`` or ``gt_label``, or without either.
    """
    boxes, labels = instances(data_samples, inputs.device)
    return Targets(
        image_sizes=image_sizes(data_samples, inputs),
        image_labels=image_labels(data_samples, inputs.device),
        boxes=boxes,
        labels=labels,
        occupied=occupied(data_samples, inputs.device),
    )


def image_sizes(data_samples: Sequence[Any], inputs: Tensor) -> Tensor:
    """(h, w) of each image without its padding, (N, 2), float32; the input's size if it is not known."""
    full = tuple(inputs.shape[2:])
    sizes = [tuple(sample.metainfo.get('img_shape', full))[:2] for sample in data_samples]
    # A batch augmentation may resize the inputs without updating img_shape.
    clipped = [(min(h, full[0]), min(w, full[1])) for h, w in sizes]
    return torch.tensor(clipped, dtype=torch.float32, device=inputs.device)


def image_labels(data_samples: Sequence[Any], device: torch.device) -> Tensor:
    """Class of each image (N,), int64; -1 in detection, without a label, and with several (MixUp, CutMix)."""
    unknown = torch.full((1,), -1, dtype=torch.long, device=device)
    labels = [getattr(sample, 'gt_label', None) for sample in data_samples]
    # mmdet's ReID samples have the label one level further down.
    labels = [getattr(label, 'label', label) for label in labels]
    # Joined on the device: reading each label would sync it.
    rows = [unknown if label is None or label.numel() != 1 else label.to(device).view(1) for label in labels]
    scores: list[Any] = [getattr(sample, 'gt_score', None) for sample in data_samples]
    if all(score is not None for score in scores):
        # The preprocessor's soft labels: in a mixed image no class has a score of 1.
        highest = torch.stack([score.to(device).amax() for score in scores])
        return torch.where(highest > 0.999, torch.cat(rows), unknown)
    return torch.cat(rows)


def instances(data_samples: Sequence[Any], device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """Boxes (n_i, 4), float32, and classes (n_i,), int64, of each image; empty if there are none."""
    boxes, labels = [], []
    for sample in data_samples:
        annotated = getattr(sample, 'gt_instances', None)
        if annotated is None or 'bboxes' not in annotated or 'labels' not in annotated:
            boxes.append(torch.zeros(0, 4, device=device))
            labels.append(torch.zeros(0, dtype=torch.long, device=device))
            continue
        # mmdet has boxes as plain tensors or in its own box types.
        box = getattr(annotated.bboxes, 'tensor', annotated.bboxes)
        boxes.append(box.to(device, torch.float32))
        labels.append(annotated.labels.to(device, torch.long))
    return boxes, labels


def occupied(data_samples: Sequence[Any], device: torch.device) -> list[Tensor]:
    """All annotated boxes of each image (m_i, 4), float32, including crowds and other ignored ones."""
    per_image = []
    for sample in data_samples:
        parts = [getattr(sample, name, None) for name in ('gt_instances', 'ignored_instances')]
        boxes = [getattr(part.bboxes, 'tensor', part.bboxes) for part in parts if part is not None and 'bboxes' in part]
        rows = [box.to(device, torch.float32) for box in boxes]
        per_image.append(torch.cat(rows) if rows else torch.zeros(0, 4, device=device))
    return per_image


def check_batch(model: str, inputs: Any, data_samples: Any) -> None:
    """Raise on a batch in a form that CDS does not read.

    Args:
        model (str): The model's type, for messages.
        inputs: What its training step gets as ``inputs``.
        data_samples: What it gets as ``data_samples``.

    Raises:
        ValueError: If they are not images (N, C, H, W) and N data samples, or boxes are not (n, 4).
    """
    given = ''
    if not isinstance(inputs, Tensor) or inputs.dim() != 4:
        given = f'inputs of the form {tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__}'
    elif data_samples is None:
        given = f'inputs of the form {tuple(inputs.shape)} without data samples'
    elif not isinstance(data_samples, Sequence) or not all(hasattr(sample, 'metainfo') for sample in data_samples):
        given = f'data_samples of the type {type(data_samples).__name__}'
        if isinstance(data_samples, Mapping):
            given += f' with {sorted(map(str, data_samples))}'
    elif len(data_samples) != len(inputs):
        given = f'{len(inputs)} images with {len(data_samples)} data samples'
    if given:
        raise ValueError(
            f'{model} trains on {given}; CDS reads one batch of images (N, C, H, W) and a list of N data samples, as '
            "mmdet's and mmpretrain's models get it"
        )
    for sample in data_samples:
        instances = getattr(sample, 'gt_instances', None)
        box = getattr(instances, 'bboxes', None) if instances is not None else None
        box = getattr(box, 'tensor', box)
        if isinstance(box, Tensor) and (box.dim() != 2 or box.shape[1] != 4):
            raise ValueError(
                f'{model} trains on boxes {tuple(box.shape)}; CDS reads upright boxes (n, 4) as (x1, y1, x2, y2), not '
                'rotated ones or polygons yet'
            )


def labelled_rows(data_samples: Sequence[Any] | None) -> list[int] | None:
    """Indices of the labelled images in a batch; None if all are labelled, as in every ordinary batch."""
    is_labelled = [getattr(sample, 'metainfo', {}).get(LABELLED, True) for sample in data_samples or ()]
    return None if all(is_labelled) else [i for i, labelled in enumerate(is_labelled) if labelled]


def has_unlabelled(dataset: Any) -> bool:
    """Whether a data set, or one inside its wrappers, says by ``has_unlabelled`` that it has unlabelled images."""
    if dataset is None:
        return False
    several = getattr(dataset, 'datasets', None)
    inner = [getattr(dataset, 'dataset', None), *(several if isinstance(several, (list, tuple)) else [])]
    return bool(getattr(dataset, 'has_unlabelled', False)) or any(map(has_unlabelled, inner))


def with_dummy_label(data_sample: Any) -> Any:
    """A copy of an unlabelled sample with a label that a head can take; its losses must not count."""
    copy = data_sample.clone()
    if hasattr(copy, 'set_gt_label'):
        copy.set_gt_label(0)
    return copy


def without_labels(data_sample: Any) -> None:
    """Remove the annotations of a data sample, in place, and mark it as unlabelled.

    A class becomes an empty tensor, instances become none, every pixel's class becomes 255, which is ignored. The
    fields stay, since preprocessors stack and count them and a missing one would be an error.
    """
    if hasattr(data_sample, 'set_gt_label') and 'gt_label' not in data_sample:
        # A data set without labels gets the field, too: the preprocessor joins it over the batch.
        data_sample.gt_label = torch.zeros(0, dtype=torch.long)
    if 'gt_label' in data_sample:
        data_sample.gt_label = data_sample.gt_label[:0]
    if 'gt_score' in data_sample:
        data_sample.gt_score = torch.zeros_like(data_sample.gt_score)
    if 'gt_sem_seg' in data_sample:
        data_sample.gt_sem_seg.sem_seg = torch.full_like(data_sample.gt_sem_seg.sem_seg, 255)
    for name in ('gt_instances', 'ignored_instances'):
        if name in data_sample:
            setattr(data_sample, name, data_sample.get(name)[:0])
    data_sample.set_metainfo({LABELLED: False})
