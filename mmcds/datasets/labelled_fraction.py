"""A data set of which a part keeps its labels, for semi-supervised training."""

import json
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.registry import DATASETS as ROOT_DATASETS

from mmcds.models.data_samples.sample_list import without_labels
from mmcds.models.necks import supervised_model
from mmcds.models.views.dataloader import batch_augments_of, mixing_augments
from mmcds.registry import DATASETS
from mmcds.utils.checkpoint_files import renamed_last
from mmcds.utils.errors import check_count, check_flag, check_range
from mmcds.utils.type_name import bare_kind, bare_name, type_name

from .transforms.recording import configs_in, mixing

#: Samplers that need annotations, with what is annotated.
ANNOTATED = {'InstanceSampler': 'boxes', 'PixelSampler': 'pixels'}


def choose_labelled(classes: Sequence[Sequence[int]], fraction: float, seed: int) -> list[int]:
    """Choose a class-balanced random part of the images.

    Images are grouped by class. An image with several classes belongs to its rarest one; images without a class are a
    group of their own. Each group gives its share, rounded so that the total is ``round(fraction * N)``, and at least
    one image unless there are more groups than that.

    Args:
        classes (Sequence[Sequence[int]]): Classes in each of N images.
        fraction (float): Part that is chosen, in (0, 1].
        seed (int): Seed of the draw; the same seed and data give the same part.

    Returns:
        list[int]: Chosen images, ascending; at least one.
    """
    counts: dict[int, int] = defaultdict(int)
    for image_classes in classes:
        for label in set(image_classes):
            counts[label] += 1
    groups: dict[int, list[int]] = defaultdict(list)
    for index, image_classes in enumerate(classes):
        groups[min(image_classes, key=lambda label: (counts[label], label), default=-1)].append(index)
    total = max(round(fraction * len(classes)), 1)
    shares = {label: fraction * len(members) for label, members in groups.items()}
    least = 1 if total >= len(groups) else 0
    taken = {label: max(int(share), least) for label, share in shares.items()}
    while sum(taken.values()) > total:
        # Every class got at least one: take the excess from the largest.
        taken[max(taken, key=lambda label: (taken[label], label))] -= 1
    # Classes without any image first, then the largest remainders.
    order = sorted(groups, key=lambda label: (taken[label] > 0, taken[label] - shares[label], label))
    for label in order[: total - sum(taken.values())]:
        taken[label] += 1
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(groups[label])[: taken[label]] for label in sorted(groups)]
    return sorted(int(index) for part in chosen for index in part)


@DATASETS.register_module()
class LabelledFraction:
    """Wraps a data set so that only a part of its images is labelled.

    The others stay in the data set without their annotations: they are used for the contrast only
    (:class:`~mmcds.models.TwoViewForward` keeps them from neck and heads). It wraps data sets of mmpretrain and
    of mmdet.

    Args:
        dataset (dict | BaseDataset): The labelled data set.
        fraction (float): Part that stays labelled, in (0, 1]. Defaults to 0.1.
        seed (int): Seed of the choice, >= 0. Defaults to 0.
        keep_unlabelled (bool): Whether the other images stay in, for the contrast. False gives the baseline
            that trains on the labelled ones alone. Defaults to True.
        unlabelled (dict | BaseDataset, optional): Another data set all of whose images are unlabelled.
            Defaults to None.
        labelled_share (float, optional): Least part of an epoch that labelled images make up, in (0, 1): if they are
            fewer, they are repeated. No effect without unlabelled images. Defaults to None: each image comes once.
        list_file (str, optional): JSON file that keeps the choice: it is read if it exists and written
            otherwise. Defaults to None.
        lazy_init (bool): Whether annotations are read only when they are first needed. Defaults to False.

    Raises:
        ValueError: If an argument is out of range, ``dataset`` is a wrapper itself, or ``list_file`` was made for
            another data set.

    Example:
        >>> train_dataloader = dict(
        ...     dataset=dict(type='mmcds.LabelledFraction', dataset={{_base_.train_dataloader.dataset}}, fraction=0.1)
        ... )
    """

    def __init__(
        self,
        dataset: dict | BaseDataset,
        fraction: float = 0.1,
        seed: int = 0,
        keep_unlabelled: bool = True,
        unlabelled: dict | BaseDataset | None = None,
        labelled_share: float | None = None,
        list_file: str | None = None,
        lazy_init: bool = False,
    ) -> None:
        check_fraction(fraction, labelled_share)
        check_count('LabelledFraction.seed', seed, 0)
        self.fraction, self.seed = fraction, seed
        self.keep_unlabelled = check_flag('LabelledFraction.keep_unlabelled', keep_unlabelled)
        self.labelled_share = labelled_share
        self.list_file = Path(list_file) if list_file else None
        parts = [dataset] if unlabelled is None else [dataset, unlabelled]
        self.datasets: list[Any] = [ROOT_DATASETS.build(part) if isinstance(part, Mapping) else part for part in parts]
        for part in self.datasets:
            if not hasattr(part, 'prepare_data'):
                raise ValueError(
                    f'LabelledFraction.dataset is a {type(part).__name__}, which hands out the items of another data '
                    'set; wrap the inner one: LabelledFraction inside, the other wrapper outside'
                )
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """Meta information of the labelled data set."""
        info: dict = self.datasets[0].metainfo
        return info

    @property
    def pipeline(self) -> Any:
        """Pipeline of the labelled data set. Setting it sets that of all, as hooks do that switch the pipeline."""
        return self.datasets[0].pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Any) -> None:
        for dataset in self.datasets:
            dataset.pipeline = pipeline

    @property
    def has_unlabelled(self) -> bool:
        """Whether there are unlabelled images. It is equal on all ranks, whatever is in their batches."""
        self.full_init()
        return not self.items[-1][2]

    def full_init(self) -> None:
        """Read the annotations and choose."""
        if self._fully_initialized:
            return
        for dataset in self.datasets:
            dataset.full_init()
        first = self.datasets[0]
        classes = [[int(label) for label in first.get_cat_ids(i)] for i in range(len(first))]
        facts = {
            'fraction': self.fraction,
            'seed': self.seed,
            'images': len(first),
            # Images are listed by index; another data set of the same size has the same indices.
            'classes': f'{zlib.crc32(json.dumps(classes).encode()):08x}',
        }
        self.labelled = self._read_list(facts)
        if self.labelled is None:
            self.labelled = choose_labelled(classes, self.fraction, self.seed)
            self._write_list(facts)
        chosen = set(self.labelled)
        kept = [(0, i, True) for i in self.labelled]
        others = []
        if self.keep_unlabelled:
            others = [(0, i, False) for i in range(len(first)) if i not in chosen]
            others += [(k, i, False) for k, part in enumerate(self.datasets[1:], 1) for i in range(len(part))]
        repeats = 1.0
        if self.labelled_share is not None and others:
            repeats = max(self.labelled_share * len(others) / ((1 - self.labelled_share) * len(kept)), 1.0)
        count = round(repeats * len(kept))
        #: (data set, index in it, labelled) of every item.
        self.items = [*(kept * (count // len(kept) + 1))[:count], *others]
        self._fully_initialized = True

    def __len__(self) -> int:
        self.full_init()
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        """An item of the wrapped data set; without annotations if it is an unlabelled one.

        Raises:
            ValueError: If the pipeline gives no usable image in many tries.
        """
        self.full_init()
        dataset, place, labelled = self.items[index]
        for _ in range(self.datasets[dataset].max_refetch + 1):
            data = self.datasets[dataset].prepare_data(place)
            if data is not None:
                return data if labelled else self._unlabel(data)
            # Take another image of the same kind, so that no unchosen label is used.
            alike = [item for item in self.items if item[2] == labelled]
            dataset, place, _ = alike[np.random.randint(len(alike))]
        raise ValueError(
            f'LabelledFraction: no image could be prepared in {self.datasets[dataset].max_refetch + 1} tries; '
            'see the warnings before, and check that the files exist and that no transform returns None for all of them'
        )

    @force_full_init
    def get_data_info(self, index: int) -> dict:
        """What the wrapped data set knows of an item, labels included."""
        dataset, place, _ = self.items[index]
        info: dict = self.datasets[dataset].get_data_info(place)
        return info

    @force_full_init
    def get_cat_ids(self, index: int) -> list[int]:
        """Classes in an item; none in an unlabelled one."""
        dataset, place, labelled = self.items[index]
        return list(self.datasets[dataset].get_cat_ids(place)) if labelled else []

    @staticmethod
    def _unlabel(data: dict) -> dict:
        sample = data['data_samples']
        without_labels(sample)
        second = getattr(sample, 'view2', None)
        if second is not None:
            without_labels(second)
            second.matched = second.matched[:0]
        return data

    def _read_list(self, facts: dict[str, Any]) -> list[int] | None:
        if self.list_file is None or not self.list_file.is_file():
            return None
        name = f"LabelledFraction.list_file='{self.list_file}'"
        try:
            content = json.loads(self.list_file.read_text())
            labelled = [int(i) for i in content['labelled']]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'{name} is cut short or no such list; remove it to have it written anew') from error
        listed = {key: content.get(key) for key in facts}
        if listed != facts:
            raise ValueError(
                f'{name} was made for {listed}, not for {facts}; name another file, or give the settings it was made '
                'with'
            )
        return labelled

    def _write_list(self, facts: dict[str, Any]) -> None:
        if self.list_file is None:
            return
        content = {**facts, 'labelled': self.labelled}
        # Every rank writes the same.
        with renamed_last(self.list_file) as partial:
            partial.write_text(json.dumps(content) + '\n')


def check_fraction(fraction: Any, labelled_share: Any = None) -> None:
    """Raise on a fraction that leaves nothing labelled, or a share that leaves nothing unlabelled.

    Raises:
        ValueError: If one is out of range.
    """
    check_range('LabelledFraction.fraction', fraction, 0, 1, open_low=True)
    if labelled_share is not None:
        check_range('LabelledFraction.labelled_share', labelled_share, 0, 1, open_low=True)
        if labelled_share == 1:
            raise ValueError('LabelledFraction.labelled_share=1 leaves no unlabelled image; set keep_unlabelled=False')


def check_labelled_fraction(cfg: Config) -> None:
    """Raise on a semi-supervised config that has no use for its unlabelled images, or does not keep them from the task.

    Args:
        cfg (Config): Any config; without a :class:`LabelledFraction` nothing is checked.

    Raises:
        ValueError: If its numbers are out of range, or unlabelled images are kept and there is no contrast for them,
            or they are mixed into labelled ones.
    """
    train = (cfg.get('train_dataloader') or {}).get('dataset')
    for dataset in _fractions(train):
        _check_wrapper(cfg, dataset)
    for outer in configs_in(train):
        below = _fractions(outer.get('dataset')) if bare_name(outer) == 'MultiImageMixDataset' else []
        if any(dataset.get('keep_unlabelled', True) for dataset in below):
            steps = [bare_kind(step.get('type')) for step in outer.get('pipeline') or []]
            raise ValueError(
                f'MultiImageMixDataset.pipeline={steps} comes after LabelledFraction, whose pipeline has to '
                'pack the images that lose their labels; remove MultiImageMixDataset, or set keep_unlabelled=False'
            )


def _fractions(dataset: Any) -> list[Mapping[str, Any]]:
    """Configs of :class:`LabelledFraction` in a data set's config, at any depth."""
    if not isinstance(dataset, Mapping):
        return []
    own = [dataset] if type_name(dataset) == 'mmcds.LabelledFraction' else []
    inner = [dataset.get('dataset'), *(dataset.get('datasets') or [])]
    return own + [wrapper for part in inner for wrapper in _fractions(part)]


def _pipelines(value: Any) -> Iterator[Any]:
    """The pipelines in a part of a config, at any depth; hooks call them ``switch_pipeline`` and the like."""
    if isinstance(value, Mapping):
        yield from (each for key, each in value.items() if str(key).endswith('pipeline'))
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _pipelines(each)


def _check_wrapper(cfg: Config, dataset: Mapping[str, Any]) -> None:
    check_fraction(dataset.get('fraction', 0.1), dataset.get('labelled_share'))
    keeps = check_flag('LabelledFraction.keep_unlabelled', dataset.get('keep_unlabelled', True))
    for step in configs_in(list(_pipelines([dataset, cfg.get('custom_hooks')]))):
        name = bare_kind(step['type'])
        # Transforms of mmyolo draw from the whole data set below; a cache holds what was handed out.
        draws = cfg.get('default_scope') == 'mmyolo' and not (step.get('use_cached') or name.startswith('Cached'))
        if (keeps or draws) and mixing([dict(type=step['type'])]):
            remedy = 'remove it' if draws else 'remove it, or set keep_unlabelled=False'
            raise ValueError(
                f'LabelledFraction: {name} of the pipeline mixes images that are not labelled, with their annotations, '
                f'into labelled ones; {remedy}'
            )
    if not keeps:
        return
    collate = cfg.train_dataloader.get('collate_fn') or {}
    if bare_kind(collate.get('type')) == 'yolov5_collate':
        raise ValueError(
            "train_dataloader.collate_fn='yolov5_collate' joins the boxes of all images without the marks of "
            'unlabelled ones, which would train the heads as images without objects; set keep_unlabelled=False'
        )
    neck = supervised_model(cfg).get('neck')
    if type_name(neck) != 'mmcds.CDSNeck':
        raise ValueError(
            'LabelledFraction keeps unlabelled images, but the model has no CDSNeck that could learn from them; '
            'add CDS (--cds) or set keep_unlabelled=False'
        )
    for augments, field in batch_augments_of(cfg):
        for name in mixing_augments(augments):
            raise ValueError(
                f'{field}: {name} mixes the images of a batch, so that pixels of unlabelled images would train the '
                'heads; remove it, or set keep_unlabelled=False'
            )
    if 'data_preprocessor' in (cfg.model.get('data_preprocessor') or {}):
        raise ValueError(
            f'model.type={bare_name(cfg.model)!r} trains on batches of several branches, and unlabelled images of '
            'LabelledFraction would train its heads as images without objects; set keep_unlabelled=False'
        )
    sampler = bare_name(neck.get('sampler')) or 'InstanceSampler'
    if sampler in ANNOTATED:
        raise ValueError(
            f'neck.sampler={sampler!r} contrasts annotated {ANNOTATED[sampler]}, which unlabelled images have not; '
            "set sampler=dict(type='DenseSampler') or 'ImageSampler'"
        )
