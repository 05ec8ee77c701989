"""Reads batches of mmdet and mmpretrain: images (N, C, H, W) and a list of N data samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..step_data import Targets

#: Meta information of a data sample: False says that its image joins the contrast and nothing else.
LABELLED = 'labelled'


def read_targets(inputs: Tensor, data_samples: Sequence[Any]) -> Targets:
    """The annotations of a batch.

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


def check_batch(model: str, inputs: Any, data_samples: Any) -> None:
    """Fail on a batch in a form that is not read.

    Args:
        model (str): The model's type, for messages.
        inputs: What its training step gets as ``inputs``.
        data_samples: What it gets as ``data_samples``.

    Raises:
        ValueError: If they are not images (N, C, H, W) and N data samples, or boxes are not (n, 4).
    """
    found = ''
    if not isinstance(inputs, Tensor) or inputs.dim() != 4:
        found = f'inputs of the form {tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__}'
    elif data_samples is None:
        found = f'inputs of the form {tuple(inputs.shape)} without data samples'
    elif not isinstance(data_samples, Sequence) or not all(hasattr(each, 'metainfo') for each in data_samples):
        found = f'data_samples of the type {type(data_samples).__name__}'
        if isinstance(data_samples, Mapping):
            found += f' with {sorted(map(str, data_samples))}'
    elif len(data_samples) != len(inputs):
        found = f'{len(inputs)} images with {len(data_samples)} data samples'
    if found:
        raise ValueError(
            f'{model} trains on {found}; CDS reads one batch of images (N, C, H, W) and a list of N data samples, as '
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
    """Places of the labelled images in a batch; None where all are, as in every ordinary batch."""
    known = [getattr(sample, 'metainfo', {}).get(LABELLED, True) for sample in data_samples or ()]
    return None if all(known) else [i for i, each in enumerate(known) if each]


def has_unlabelled(dataset: Any) -> bool:
    """Whether a data set, or one inside its wrappers, says by ``has_unlabelled`` that it has unlabelled images."""
    if dataset is None:
        return False
    several = getattr(dataset, 'datasets', None)
    inner = [getattr(dataset, 'dataset', None), *(several if isinstance(several, (list, tuple)) else [])]
    return bool(getattr(dataset, 'has_unlabelled', False)) or any(map(has_unlabelled, inner))


def with_dummy_label(data_sample: Any) -> Any:
    """A copy of an unlabelled sample that a head can be given; the losses on it must not count."""
    copy = data_sample.clone()
    if hasattr(copy, 'set_gt_label'):
        copy.set_gt_label(0)
    return copy


def without_labels(data_sample: Any) -> None:
    """Take the annotations off a data sample, in place, and mark it as unlabelled.

    A class becomes an empty tensor, instances become none, every pixel's class becomes 255, which is ignored:
    preprocessors stack and count them as they are, where a missing field would be an error.
    """
    if hasattr(data_sample, 'set_gt_label') and 'gt_label' not in data_sample:
        # A data set that never had labels: the preprocessor joins those of the whole batch.
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
