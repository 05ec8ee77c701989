"""Two views of an image from the data loader, with boxes that follow each."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmengine.registry import DefaultScope

from mmcds.models.step_data import no_map
from mmcds.models.supervision import ContrastiveSupervision, Supervision
from mmcds.models.views.dataloader import DataloaderView, batch_augments_of, check_batch_augments
from mmcds.models.views.photometric import PhotometricView
from mmcds.models.views.single import SingleView
from mmcds.registry import TRANSFORMS
from mmcds.utils.errors import unknown_name
from mmcds.utils.type_name import bare_kind

from .recording import RECORDING, configs_in, may_be_trusted, mixing, unrecorded


class _OwnNumbers:
    """Contexts with random numbers of their own; afterwards Python's, NumPy's and torch's generators are as before.

    The seed of a context comes from the three generators. If they are as in the last context, because the task drew
    nothing in between, the number of such repeats is added to it.
    """

    def __init__(self) -> None:
        self._last: tuple[int, ...] = ()
        self._repeats = 0

    @contextmanager
    def __call__(self, index: int) -> Iterator[None]:
        """One context.

        Args:
            index (int): Of the image, >= 0; the numbers depend on it, too.
        """
        python, numpy, state = random.getstate(), np.random.get_state(), torch.get_rng_state()
        drawn = random.getrandbits(32), int(np.random.randint(2**31)), int(torch.randint(2**31, ()))
        self._repeats = self._repeats + 1 if drawn == self._last else 0
        self._last = drawn
        seed = int(np.random.SeedSequence([*drawn, self._repeats, index]).generate_state(1)[0])
        try:
            random.seed(seed)
            np.random.seed(seed)
            torch.default_generator.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.set_rng_state(state)


@TRANSFORMS.register_module()
class TwoViews(BaseTransform):
    """Runs two pipelines on the same loaded image: the task's own, and one for the contrast.

    The first view is exactly what the stock pipeline gives; the second is stored in its data sample as
    ``view2``, for :class:`~mmcds.models.views.DataloaderView`. An instance is matched between the views by
    its number, which stands in for its label while the pipelines run. If one of them drops the image
    (returns None), TwoViews drops it, too.

    Where all transforms are known to record what they move in ``homography_matrix``, or to move nothing, the second
    data sample also has ``between``, the map (3, 3) from a point of view 1 to view 2. With any other transform there
    is no map, and a sampler that needs one (``DenseSampler``, background boxes) is refused with the name of the
    transform. Instances and whole images need none.

    Args:
        first (Sequence[dict]): The stock pipeline after loading, without the packing.
        second (Sequence[dict]): The same for the second view.
        pack (dict): The packing transform, ``dict(type='PackDetInputs')`` or ``dict(type='PackInputs')``.
        trusted (Sequence[str]): Class names of your own transforms that move nothing, or multiply all that they
            move into ``results['homography_matrix']``. Defaults to ().

    Raises:
        ValueError: If a pipeline mixes several images, or a trusted name is not in them or moves pixels without
            a record.

    Attributes:
        unrecorded (str): Why there is no map, with the names of the transforms; '' if there is one.

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

    def __init__(self, first: Sequence[dict], second: Sequence[dict], pack: dict, trusted: Sequence[str] = ()) -> None:
        for field, pipeline in (('first', first), ('second', second)):
            for name in mixing(pipeline):
                raise ValueError(
                    f'TwoViews.{field}: {name} puts several images into one, whose instances cannot be matched; '
                    "remove it, or make the second view on the device (view=dict(type='PhotometricView'))"
                )
        self.first, self.second, self.pack = (_compose(steps) for steps in (first, second, [pack]))
        self._own_numbers = _OwnNumbers()
        self.trusted = [bare_kind(name) for name in ([trusted] if isinstance(trusted, str) else trusted)]
        pipelines = {'first': self.first, 'second': self.second}
        _check_trusted(self.trusted, [name for each in pipelines.values() for name in unrecorded(each)])
        missing = {field: unrecorded(each, self.trusted) for field, each in pipelines.items()}
        named = [f'TwoViews.{field}: {", ".join(dict.fromkeys(names))}' for field, names in missing.items() if names]
        self.unrecorded = f'{"; ".join(named)}: not known to record where they move pixels' if named else ''

    def transform(self, results: dict) -> dict | None:
        """Make both views.

        Args:
            results (dict): After loading: 'img' (H, W, 3) uint8 and, in detection, 'gt_bboxes' and
                'gt_bboxes_labels'.

        Returns:
            dict | None: 'inputs' and 'data_samples' of view 1, whose ``view2`` is a data sample with
            ``inputs`` (3, H', W') uint8, ``gt_instances`` of the k instances that both views show, and
            ``matched``, their k rows in view 1, int64. Its metainfo has ``between`` (3, 3), float64, or
            ``unrecorded``, and ``first_shape``, the ``img_shape`` of view 1.
        """
        labels = results.get('gt_bboxes_labels')
        copies = [deepcopy(results), results]
        outputs = []
        for copy, pipeline in zip(copies, (self.first, self.second), strict=True):
            if labels is not None:
                copy['gt_bboxes_labels'] = np.arange(len(labels))
            with nullcontext() if pipeline is self.first else self._own_numbers(int(copy.get('sample_idx', 0))):
                copy = pipeline(copy)
            if copy is None:
                return None
            # A RandomFlip that did not flip records no matrix: identity.
            moved = copy.get('homography_matrix')
            outputs.append((np.eye(3) if moved is None else np.asarray(moved, np.float64), self.pack(copy)))
        (map1, packed1), (map2, packed2) = outputs
        first, second = packed1['data_samples'], packed2['data_samples']
        second.inputs = packed2['inputs']
        second.matched = torch.zeros(0, dtype=torch.long)
        if labels is not None:
            self._match(first, second, torch.as_tensor(labels, dtype=torch.long))
        second.set_metainfo({'first_shape': first.metainfo.get('img_shape')})
        if self.unrecorded:
            second.set_metainfo({'unrecorded': self.unrecorded})
        else:
            second.set_metainfo({'between': map2 @ np.linalg.inv(map1)})
        first.view2 = second
        return packed1

    @staticmethod
    def _match(first: Any, second: Any, labels: torch.Tensor) -> None:
        numbers = [first.gt_instances.labels, second.gt_instances.labels]
        for sample in (first, second):
            for part in ('gt_instances', 'ignored_instances'):
                if part in sample and 'labels' in sample.get(part):
                    instances = sample.get(part)
                    instances.labels = labels[instances.labels]
        same = numbers[0][:, None] == numbers[1][None]
        rows1, rows2 = same.nonzero(as_tuple=True)
        second.gt_instances = second.gt_instances[rows2]
        second.matched = rows1

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(first={self.first}, second={self.second}, pack={self.pack}, trusted={self.trusted})'
        )


def check_second_view(cfg: Mapping[str, Any], supervision: Supervision) -> None:
    """Raise on second views from the data loader that would be wrong or missing in training.

    Args:
        cfg (Mapping): A whole config. Every ``TwoViews`` in it is checked, also those that a hook switches to.
        supervision (Supervision): Of its CDSNeck; its view and its sampler are checked.

    Raises:
        ValueError: If a ``TwoViews`` is wrong, or stands below a data set that mixes its images; if the view of the
            CDSNeck is not the one that it makes; if the sampler needs the map between the views and a transform leaves
            none; if a batch augmentation changes view 1 alone.
    """
    parts = {'train_dataloader': cfg.get('train_dataloader'), 'custom_hooks': cfg.get('custom_hooks')}
    for config in configs_in(parts):
        pipeline = config.get('pipeline')
        below = [bare_kind(each['type']) for each in configs_in(config.get('dataset'))]
        if bare_kind(config['type']) == 'MultiImageMixDataset' and 'TwoViews' in below and pipeline:
            raise ValueError(
                f'{bare_kind(config["type"])}.pipeline={[bare_kind(each["type"]) for each in pipeline]} comes after '
                'TwoViews, which packs its images; move TwoViews to the end of that pipeline'
            )
    made = [config for config in configs_in(parts) if bare_kind(config['type']) == 'TwoViews']
    # Deep supervision, the control, has one view whatever the data.
    is_contrast = isinstance(supervision, ContrastiveSupervision)
    if made and is_contrast and isinstance(supervision.view, (PhotometricView, SingleView)):
        raise ValueError(
            f'neck.view={type(supervision.view).__name__!r} does not look at the second view that TwoViews in the '
            "pipeline makes; set neck.view=dict(type='DataloaderView'), or put the steps of TwoViews.first and its "
            'pack in the place of TwoViews'
        )
    if not isinstance(supervision.view, DataloaderView):
        return
    for augments, field in batch_augments_of(cfg):
        check_batch_augments(augments, field)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdet'):
        for config in made:
            views = TwoViews(**{key: value for key, value in config.items() if key not in ('type', '_scope_')})
            sampler = supervision.sampler
            if views.unrecorded and getattr(sampler, 'needs_map', False):
                raise ValueError(no_map(views.unrecorded, f'neck.sampler={type(sampler).__name__!r}'))


def _compose(steps: Sequence[dict]) -> Compose:
    """Build a Compose in the scope of the config, or in mmdet's if there is none."""
    if DefaultScope.get_current_instance() is not None:
        return Compose(list(steps))
    with DefaultScope.overwrite_default_scope('mmdet'):
        return Compose(list(steps))


def _check_trusted(trusted: Sequence[str], unknown: Sequence[str]) -> None:
    """Raise on a trusted name that is not in ``unknown``, or that is known to move pixels without a record."""
    open_ = [bare_kind(name) for name in unknown if may_be_trusted(name)]
    for name in trusted:
        if name in open_:
            continue
        for transform in unknown:
            if bare_kind(transform) == name:
                raise ValueError(
                    f'TwoViews.trusted={name!r} is refused: {transform} moves pixels and does not record where to; '
                    f'use {", ".join(RECORDING["mmdet"])} of mmdet'
                )
        raise unknown_name('TwoViews.trusted', name, sorted(set(open_)), 'it names transforms of the two pipelines')
