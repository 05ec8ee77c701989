"""Two views of an image from the data loader, with boxes that follow each."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmengine.registry import DefaultScope

from mmcds.registry import TRANSFORMS

#: Transforms that put several images into one: their boxes belong to no single instance of ours.
MIXING = ('Mosaic', 'CachedMosaic', 'MixUp', 'CachedMixUp', 'CopyPaste', 'YOLOXMixUp')


@TRANSFORMS.register_module()
class TwoViews(BaseTransform):
    """Runs two pipelines on the same loaded image: the task's own, and one for the contrast.

    The first view is exactly what the stock pipeline gives; the second hangs on its data sample as
    ``view2``, for :class:`~mmcds.models.views.DataloaderView`. An instance is matched between the views by
    its number, which stands in for its label while the pipelines run. If one of them drops the image
    (returns None), so does this.

    Args:
        first (Sequence[dict]): The stock pipeline after loading, without the packing.
        second (Sequence[dict]): The same for the second view.
        pack (dict): The packing transform, ``dict(type='PackDetInputs')`` or ``dict(type='PackInputs')``.

    Raises:
        ValueError: If a pipeline mixes several images.

    Example:
        >>> train_pipeline = [
        ...     dict(type='LoadImageFromFile'),
        ...     dict(type='LoadAnnotations', with_bbox=True),
        ...     dict(
        ...         type='mmcds.TwoViews',
        ...         first=[dict(type='Resize', scale=(1333, 800), keep_ratio=True), dict(type='RandomFlip', prob=0.5)],
        ...         second=[dict(type='Resize', scale=(667, 400), keep_ratio=True), dict(type='PhotoMetricDistortion')],
        ...         pack=dict(type='PackDetInputs'),
        ...     ),
        ... ]
    """

    def __init__(self, first: Sequence[dict], second: Sequence[dict], pack: dict) -> None:
        for field, pipeline in (('first', first), ('second', second)):
            for step in pipeline:
                bare = str(step.get('type')).rpartition('.')[2]
                if bare in MIXING:
                    raise ValueError(
                        f'TwoViews.{field}: {bare} puts several images into one, whose instances cannot be matched; '
                        "remove it, or make the second view on the device (view=dict(type='PhotometricView'))"
                    )
        self.first, self.second, self.pack = (_compose(steps) for steps in (first, second, [pack]))

    def transform(self, results: dict) -> dict | None:
        """Make both views.

        Args:
            results (dict): After loading: 'img' (H, W, 3) uint8 and, in detection, 'gt_bboxes' and
                'gt_bboxes_labels'.

        Returns:
            dict | None: 'inputs' and 'data_samples' of view 1, whose ``view2`` is a data sample with
            ``inputs`` (3, H', W') uint8, ``gt_instances`` of the k instances that both views show, and
            ``matched``, their k rows in view 1, int64.
        """
        labels = results.get('gt_bboxes_labels')
        copies = [deepcopy(results), results]
        outputs = []
        for copy, pipeline in zip(copies, (self.first, self.second), strict=True):
            if labels is not None:
                copy['gt_bboxes_labels'] = np.arange(len(labels))
            copy = pipeline(copy)
            if copy is None:
                return None
            outputs.append((copy.get('homography_matrix'), self.pack(copy)))
        (map1, packed1), (map2, packed2) = outputs
        first, second = packed1['data_samples'], packed2['data_samples']
        second.inputs = packed2['inputs']
        second.matched = torch.zeros(0, dtype=torch.long)
        if labels is not None:
            self._match(first, second, torch.as_tensor(labels, dtype=torch.long))
        if map1 is not None and map2 is not None:
            second.set_metainfo({'between': np.asarray(map2) @ np.linalg.inv(map1)})
        first.view2 = second
        return packed1

    @staticmethod
    def _match(first: Any, second: Any, labels: torch.Tensor) -> None:
        numbers = [first.gt_instances.labels, second.gt_instances.labels]
        for sample in (first, second):
            for part in ('gt_instances', 'ignored_instances'):
                if part in sample and 'labels' in sample.get(part):
                    found = sample.get(part)
                    found.labels = labels[found.labels]
        same = numbers[0][:, None] == numbers[1][None]
        rows1, rows2 = same.nonzero(as_tuple=True)
        second.gt_instances = second.gt_instances[rows2]
        second.matched = rows1

    def __repr__(self) -> str:
        return f'{type(self).__name__}(first={self.first}, second={self.second}, pack={self.pack})'


def _compose(steps: Sequence[dict]) -> Compose:
    """Compose in the scope of the config, mmdet's where nothing says otherwise."""
    if DefaultScope.get_current_instance() is not None:
        return Compose(list(steps))
    with DefaultScope.overwrite_default_scope('mmdet'):
        return Compose(list(steps))
