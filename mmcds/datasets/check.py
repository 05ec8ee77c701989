"""Checks of a config's detection data sets, made before the model is built."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from .coco_report import CocoReport, check_coco

__all__ = ['CocoReport', 'check_coco', 'check_datasets']


def check_datasets(cfg: Config) -> list[CocoReport]:
    """Check the training and validation data sets of a config, and the classes of its heads.

    Only data sets that mmdet's ``CocoDataset`` reads by its own rules are looked at, also inside wrappers
    (``RepeatDataset``, ``ConcatDataset``, ...). Other types, and files on remote storage, are left alone.
    A data set that makes its own files (:class:`~mmcds.datasets.ShapesDataset`) makes them here.

    Args:
        cfg (Config): A full training config; it is not changed.

    Returns:
        list[CocoReport]: One per data set, in the config's order. Nothing is raised for what is found;
            see :meth:`CocoReport.raise_errors`.

    Raises:
        KeyError: If the type of a data set is not registered.
    """
    from mmdet.datasets import CocoDataset  # a classification-only environment has no mmdet
    from mmdet.registry import DATASETS

    heads = list(_head_classes(cfg.get('model') or {}, 'model'))
    reports = []
    for loader in ('train_dataloader', 'val_dataloader'):
        for path, dataset_cfg in _leaves((cfg.get(loader) or {}).get('dataset'), f'{loader}.dataset'):
            dataset_type = dataset_cfg.get('type')
            with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
                cls = registry.get(dataset_type) if isinstance(dataset_type, str) else dataset_type
            if cls is None:
                raise KeyError(f"{path}.type='{dataset_type}' is not registered; add its module to custom_imports")
            # A subclass that reads or parses the file in another way has rules of its own.
            if not (isinstance(cls, type) and issubclass(cls, CocoDataset)) or any(
                getattr(cls, method) is not getattr(CocoDataset, method)
                for method in ('load_data_list', 'parse_data_info')
            ):
                continue
            if _is_remote(dataset_cfg):
                continue
            report, classes = _check_dataset(path, cls, dataset_cfg)
            reports.append(report)
            _compare_evaluator(cfg, loader, report)
            if classes is not None and not isinstance(classes, str):
                report.errors += _compare_heads(heads, classes)
    return reports


def _is_remote(cfg: Mapping[str, Any]) -> bool:
    places = [cfg.get('data_root'), cfg.get('ann_file'), *(cfg.get('data_prefix') or {}).values()]
    backend = (cfg.get('backend_args') or {}).get('backend', 'local')
    return backend != 'local' or any('://' in place for place in places if isinstance(place, str))


def _check_dataset(path: str, cls: type, cfg: Mapping[str, Any]) -> tuple[CocoReport, Any]:
    """The findings, and the classes as the data set itself understands them."""
    # The class itself joins data_root, data_prefix and ann_file; nothing is read before full_init.
    arguments = {key: value for key, value in cfg.items() if key not in ('type', 'pipeline', '_scope_')}
    dataset = cls(**{**arguments, 'pipeline': [], 'lazy_init': True})
    if hasattr(dataset, 'prepare'):
        dataset.prepare()
    drops_empty = not dataset.test_mode and bool((dataset.filter_cfg or {}).get('filter_empty_gt'))
    classes = dataset.metainfo.get('classes')
    prefix = dataset.data_prefix.get('img', '')
    report = check_coco(dataset.ann_file, prefix, classes, name=path, drops_empty=drops_empty)
    return report, classes


def _leaves(cfg: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The data sets inside any wrappers, with their paths in the config."""
    if not isinstance(cfg, Mapping):
        return
    if 'dataset' in cfg:
        yield from _leaves(cfg['dataset'], f'{path}.dataset')
    elif 'datasets' in cfg:
        for i, inner in enumerate(cfg['datasets']):
            yield from _leaves(inner, f'{path}.datasets[{i}]')
    else:
        yield path, cfg


def _head_classes(cfg: Any, path: str, in_head: bool = False) -> Iterator[tuple[str, int]]:
    """Every ``num_classes`` under a ``bbox_head`` or ``mask_head``, with its path in the config."""
    if isinstance(cfg, (list, tuple)):
        for i, inner in enumerate(cfg):
            yield from _head_classes(inner, f'{path}[{i}]', in_head)
    elif isinstance(cfg, Mapping):
        # Open-vocabulary heads count tokens of a text, class-agnostic ones do not count classes at all.
        if cfg.get('language_model') or cfg.get('class_agnostic'):
            return
        if in_head and isinstance(cfg.get('num_classes'), int):
            yield f'{path}.num_classes', cfg['num_classes']
        for key, inner in cfg.items():
            yield from _head_classes(inner, f'{path}.{key}', in_head or key in ('bbox_head', 'mask_head'))


def _compare_heads(heads: list[tuple[str, int]], classes: Any) -> list[Exception]:
    names = ', '.join(map(str, classes[:10])) + (', ...' if len(classes) > 10 else '')
    return [
        ValueError(
            f'{path}={count} but the data set has {len(classes)} classes ({names}); set '
            f'{path}={len(classes)}, or metainfo=dict(classes=...) in the data set'
        )
        for path, count in heads
        if count != len(classes)
    ]


def _compare_evaluator(cfg: Config, loader: str, report: CocoReport) -> None:
    """An evaluator that reads another file than the data set fails only after the first epoch."""
    if loader != 'val_dataloader':
        return
    evaluators = cfg.get('val_evaluator') or []
    for evaluator in [evaluators] if isinstance(evaluators, Mapping) else evaluators:
        ann_file = evaluator.get('ann_file')
        if not ann_file or '://' in ann_file or os.path.abspath(ann_file) == os.path.abspath(report.ann_file):
            continue
        if not os.path.isfile(ann_file):
            report.errors.append(
                FileNotFoundError(
                    f"val_evaluator.ann_file='{ann_file}' does not exist, while the data set reads "
                    f"'{report.ann_file}'; name the same file in both"
                )
            )
        else:
            report.warnings[f"val_evaluator reads another file, '{ann_file}'"] = 1
