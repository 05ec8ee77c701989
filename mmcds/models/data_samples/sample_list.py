"""Reads batches of mmdet, mmrotate, mmpretrain and mmsegmentation: images (N, C, H, W) and a list of N data samples."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..step_data import Targets

#: A preprocessor pads fewer pixels than this to reach a multiple of its ``pad_size_divisor``.
DIVISOR = 64
#: Key in the metainfo of a data sample; False means that its image is used for the contrast only.
LABELLED = 'labelled'


def fits(data_samples: Any) -> bool:
    """Whether it is a sequence of data samples."""
    return isinstance(data_samples, Sequence) and all(hasattr(sample, 'metainfo') for sample in data_samples)


def read_targets(inputs: Tensor, data_samples: Sequence[Any]) -> Targets:
    """Read the annotations of a batch.

    Args:
        inputs (Tensor): The images as the model gets them (N, C, H, W).
        data_samples (Sequence): The N data samples, with ``gt_instances``, ``gt_label`` or ``gt_sem_seg``, or without.
    """
    boxes, labels = instances(data_samples, inputs.device)
    return Targets(
        image_sizes=image_sizes(data_samples, inputs),
        image_labels=image_labels(data_samples, inputs.device),
        boxes=boxes,
        labels=labels,
        occupied=occupied(data_samples, inputs.device),
        pixels=pixels(data_samples, inputs),
    )


def image_sizes(data_samples: Sequence[Any], inputs: Tensor) -> Tensor:
    """(h, w) of each image without its padding, (N, 2), float32; the input's size if it is not known."""
    full = tuple(inputs.shape[2:])
    sizes = [tuple(sample.metainfo.get('img_shape', full))[:2] for sample in data_samples]
    # torchvision's transforms leave the size of the file in the data samples of mmpretrain.
    if any('gt_label' in sample or 'gt_score' in sample for sample in data_samples) and not _padded(inputs, sizes):
        sizes = [full] * len(sizes)
    # A batch augmentation may resize the inputs without updating img_shape.
    clipped = [(min(h, full[0]), min(w, full[1])) for h, w in sizes]
    return torch.tensor(clipped, dtype=torch.float32, device=inputs.device)


def _padded(inputs: Tensor, sizes: Sequence[tuple[int, ...]]) -> bool:
    """Whether the inputs look padded: the sizes fit the input, and all pixels beyond them are equal."""
    largest = [max(side) for side in zip(*sizes, strict=True)]
    if any(not 0 <= full - size < DIVISOR for full, size in zip(inputs.shape[2:], largest, strict=True)):
        return False
    beside = [part for image, (h, w) in zip(inputs, sizes, strict=True) for part in (image[:, h:], image[:, :h, w:])]
    constant = [part.amin() == part.amax() for part in beside if part.numel()]
    return not constant or bool(torch.stack(constant).all())


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
    """Boxes (n_i, 4), or rotated (n_i, 5), float32, and classes (n_i,), int64, of each image; empty if it has none."""
    boxes, labels = [], []
    for sample in data_samples:
        annotated = getattr(sample, 'gt_instances', None)
        if annotated is None or 'bboxes' not in annotated or 'labels' not in annotated:
            boxes.append(torch.zeros(0, 0, device=device))
            labels.append(torch.zeros(0, dtype=torch.long, device=device))
            continue
        boxes.append(_rows_of(annotated.bboxes).to(device, torch.float32))
        labels.append(annotated.labels.to(device, torch.long))
    return _of_one_kind(boxes), labels


def occupied(data_samples: Sequence[Any], device: torch.device) -> list[Tensor]:
    """All annotated boxes of each image (m_i, 4), or rotated (m_i, 5), float32, including crowds and ignored ones."""
    per_image = []
    for sample in data_samples:
        parts = [getattr(sample, name, None) for name in ('gt_instances', 'ignored_instances')]
        boxes = [_rows_of(part.bboxes) for part in parts if part is not None and 'bboxes' in part]
        rows = [box.to(device, torch.float32) for box in boxes]
        per_image.append(torch.cat(_of_one_kind(rows)) if rows else torch.zeros(0, 0, device=device))
    return _of_one_kind(per_image)


def pixels(data_samples: Sequence[Any], inputs: Tensor) -> Tensor | None:
    """Class of each pixel (N, H, W), int64; None unless all images have a map of the input's size."""
    maps = [_map_of(sample) for sample in data_samples]
    if not maps or any(map_ is None or map_.shape[-2:] != inputs.shape[2:] for map_ in maps):
        return None
    size = inputs.shape[2:]
    return torch.stack([map_.reshape(size) for map_ in maps if map_ is not None]).to(inputs.device, torch.long)


def _map_of(data_sample: Any) -> Tensor | None:
    """The map of classes of a data sample: ``sem_seg`` in mmdet, ``data`` in mmsegmentation."""
    semantic = getattr(data_sample, 'gt_sem_seg', None)
    maps = [semantic.get(name) for name in ('sem_seg', 'data') if semantic is not None and name in semantic]
    # (1, H, W) or (H, W); several channels are no classes.
    is_map = bool(maps) and isinstance(maps[0], Tensor) and maps[0].numel() == maps[0].shape[-2:].numel()
    return maps[0] if is_map else None


def _rows_of(boxes: Any) -> Tensor:
    """Boxes of any of the packages' types as a tensor: upright (n, 4), or rotated (n, 5)."""
    rows: Tensor = getattr(boxes, 'tensor', boxes)
    if rows.shape[-1] != 8:
        return rows
    # Quadrilaterals: mmrotate's own conversion.
    if not hasattr(boxes, 'convert_to'):
        from mmdet.structures.bbox import get_box_type

        boxes = get_box_type('qbox')[1](rows)
    rotated: Tensor = boxes.convert_to('rbox').tensor
    return rotated


def _of_one_kind(boxes: list[Tensor]) -> list[Tensor]:
    """Give images without boxes as many columns as the others have, 4 if none has any."""
    width = max([rows.shape[1] for rows in boxes if len(rows)] or [rows.shape[1] for rows in boxes] + [4])
    return [rows if len(rows) else rows.new_zeros(0, width) for rows in boxes]


def problem(inputs: Tensor, data_samples: Sequence[Any]) -> str:
    """What is wrong with a batch, '' if nothing is: the number of data samples, and boxes of another form."""
    if len(data_samples) != len(inputs):
        return f'{len(inputs)} images with {len(data_samples)} data samples'
    for sample in data_samples:
        annotated = getattr(sample, 'gt_instances', None)
        box = getattr(annotated, 'bboxes', None) if annotated is not None else None
        box = getattr(box, 'tensor', box)
        if isinstance(box, Tensor) and (box.dim() != 2 or box.shape[1] not in (4, 5, 8)):
            return f'boxes {tuple(box.shape)}, not upright (n, 4), rotated (n, 5) or quadrilaterals (n, 8)'
    return ''


def labelled_rows(data_samples: Any) -> list[int] | None:
    """Indices of the labelled images in a batch; None if all are labelled, as in every ordinary batch.

    Only data samples in a sequence can say that an image is not labelled.
    """
    if not isinstance(data_samples, Sequence):
        return None
    is_labelled = [getattr(sample, 'metainfo', {}).get(LABELLED, True) for sample in data_samples]
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
        for name in ('sem_seg', 'data'):
            if name in data_sample.gt_sem_seg:
                setattr(data_sample.gt_sem_seg, name, torch.full_like(data_sample.gt_sem_seg.get(name), 255))
    for name in ('gt_instances', 'ignored_instances'):
        if name in data_sample:
            setattr(data_sample, name, data_sample.get(name)[:0])
    data_sample.set_metainfo({LABELLED: False})
