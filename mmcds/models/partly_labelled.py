"""Batches some of whose images have no label."""

from collections.abc import Sequence
from typing import Any

import torch

#: Meta information of a data sample: False says that its image joins the contrast and nothing else.
LABELLED = 'labelled'


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
