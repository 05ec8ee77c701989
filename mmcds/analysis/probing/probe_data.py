"""The two data sets of a probe: training and test images, both through the test pipeline."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader, Subset

from mmcds.utils.errors import check_count, unknown_name
from mmcds.utils.type_name import bare_kind

#: Wrappers that show images several times or mixed; a probe sees each once.
REPEATING = ('RepeatDataset', 'ClassBalancedDataset', 'MultiImageMixDataset', 'LabelledFraction')

#: Default scopes whose data sets can be probed.
SCOPES = ('mmdet', 'mmpretrain')


def evaluation_pipeline(cfg: Config) -> list[dict]:
    """The pipeline that a config tests with.

    Raises:
        ValueError: If the config has no test or validation data with a pipeline.
    """
    for name in ('test_dataloader', 'val_dataloader'):
        dataset = (cfg.get(name) or {}).get('dataset')
        while dataset and 'pipeline' not in dataset:
            dataset = dataset.get('dataset') or next(iter(dataset.get('datasets') or ()), None)
        if dataset:
            return deepcopy(dataset['pipeline'])
    raise ValueError('the config has neither test_dataloader nor val_dataloader, with whose images taps are probed')


def with_pipeline(dataset: dict, pipeline: Sequence[dict]) -> dict:
    """A data set's config with another pipeline, without the wrappers that repeat or mix images.

    Args:
        dataset (dict): Config of a data set or of a wrapper around some; not changed.
        pipeline (Sequence[dict]): The pipeline.
    """
    inner = dataset.get('dataset')
    if inner is not None and bare_kind(dataset.get('type')) in REPEATING:
        return with_pipeline(inner, pipeline)
    changed = deepcopy(dataset)
    if inner is not None:
        changed['dataset'] = with_pipeline(inner, pipeline)
    elif 'datasets' in dataset:
        changed['datasets'] = [with_pipeline(each, pipeline) for each in dataset['datasets']]
    else:
        changed['pipeline'] = deepcopy(list(pipeline))
    return changed


class ProbeData:
    """Batches of one split of a config, for :func:`mmcds.analysis.probing.tap_features.tap_features`.

    Args:
        cfg (Config): A config of mmdet or mmpretrain.
        split (str): 'train' or 'test'; without test data, 'test' is the validation data.
        limit (int): Images, spread evenly over the set, since sets are often sorted by class; >= 0, 0
            takes all. Defaults to 0.

    Raises:
        ValueError: If the config has no such data, or ``limit`` is out of range.
    """

    def __init__(self, cfg: Config, split: str, limit: int = 0) -> None:
        check_count(f'max_{split}', limit, 0)
        name = 'train_dataloader' if split == 'train' else 'test_dataloader'
        loader = cfg.get(name) or (cfg.get('val_dataloader') if split == 'test' else None)
        if not loader:
            raise ValueError(f'the config has no {name}; a probe needs training and test data')
        scope = cfg.get('default_scope') or 'mmdet'
        if scope not in SCOPES:
            raise unknown_name('default_scope', scope, SCOPES, 'other packages cannot be probed')
        self.detects = scope == 'mmdet'
        self.pipeline = evaluation_pipeline(cfg)
        self.dataset: Any = DATASETS.build(with_pipeline(loader['dataset'], self.pipeline))
        count = len(self.dataset)
        self.indices = list(range(count))
        if limit and limit < count:
            self.indices = np.linspace(0, count - 1, limit).round().astype(int).tolist()
        self.batch_size = int(loader.get('batch_size') or 1)
        self.workers = int(loader.get('num_workers') or 0)

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[dict[str, Any], list[list[dict]] | None]]:
        loader = DataLoader(
            Subset(self.dataset, self.indices), self.batch_size, num_workers=self.workers, collate_fn=pseudo_collate
        )
        for i, data in enumerate(loader):
            objects = None
            if self.detects:
                places = self.indices[i * self.batch_size : (i + 1) * self.batch_size]
                objects = [self.dataset.get_data_info(place).get('instances', []) for place in places]
            yield data, objects
