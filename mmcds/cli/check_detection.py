"""Checks of a config's detection data sets, made before the model is built."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from mmcds.utils.type_name import bare_kind

from .coco_report import OTHER_ORDER, CocoReport, DatasetUse, check_coco, read_label_names
from .image_files import ImageLoader, is_local
from .label_order import LabelOrder, contradiction, listed

__all__ = ['CocoReport', 'check_coco', 'check_datasets']

#: In the order in which a run uses them.
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
#: Ends the path of a data set whose images are used for the contrast only.
UNLABELLED = '.unlabelled'


def check_datasets(
    cfg: Config,
    loaders: Sequence[str] = LOADERS[:2],
    trained_classes: Callable[[], Sequence[str] | None] | None = None,
) -> list[CocoReport]:
    """Check data sets of a config, the classes of its heads, and the order of the categories in all its files.

    Only data sets that mmdet's ``CocoDataset`` reads by its own rules are looked at, also inside wrappers
    (``RepeatDataset``, ``ConcatDataset``, ...). Other types, and files on remote storage, are left alone; images are
    looked for where the pipeline loads them by ``LoadImageFromFile`` or ``LoadImageOrSkip`` from a disk.
    A data set that makes its own files (:class:`~mmcds.datasets.ShapesDataset`) makes them here.

    Args:
        cfg (Config): A full config; it is not changed.
        loaders (Sequence[str]): Whose data sets are looked at. Of other files only the order of the categories is
            read, if they are there. Defaults to those of training and validation.
        trained_classes (Callable, optional): Gives the classes that a checkpoint names, or None; called where the
            training file is not there to compare. Defaults to None.

    Returns:
        list[CocoReport]: One per data set, in the config's order. Nothing is raised for what is found;
            see :meth:`CocoReport.raise_errors`.

    Raises:
        KeyError: If the type of a data set is not registered.
    """
    heads = list(_head_classes(cfg.get('model') or {}, 'model'))
    reports = []
    for loader in loaders:
        for path, dataset_cfg, dataset in _coco_datasets(cfg, loader):
            if not _parses_as_coco(dataset):
                continue
            if hasattr(dataset, 'prepare'):
                dataset.prepare()
            # The labels of unlabelled images are not used.
            classes = None if path.endswith(UNLABELLED) else dataset.metainfo.get('classes')
            prefix = dataset.data_prefix.get('img', '')
            use = _use(cfg, loader, dataset_cfg, dataset)
            report = check_coco(dataset.ann_file, prefix, classes, name=path, use=use)
            reports.append(report)
            for name, evaluator in _evaluators(cfg, loader):
                _compare_evaluator(name, evaluator, report, classes)
            if isinstance(classes, (list, tuple)):
                report.errors += _compare_heads(heads, classes)
    _compare_orders(cfg, reports, loaders, trained_classes)
    return reports


def _coco_datasets(cfg: Config, loader: str, strict: bool = True) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Data sets on a disk whose labels are numbered by mmdet's ``CocoDataset``.

    Args:
        cfg (Config): A full config.
        loader (str): One of :data:`LOADERS`.
        strict (bool): Whether this run uses the loader. Data sets of others may not be buildable. Defaults to True.

    Yields:
        tuple[str, Mapping[str, Any], Any]: Path in the config, that part of it, and the data set, not yet read.

    Raises:
        KeyError: If the type of a data set is not registered.
    """
    if not cfg.get(loader):
        return
    from mmdet.datasets import CocoDataset  # a classification-only environment has no mmdet
    from mmdet.registry import DATASETS

    for path, dataset_cfg in _leaves(cfg[loader].get('dataset'), f'{loader}.dataset'):
        dataset_type: Any = dataset_cfg.get('type')
        with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
            cls: Any = registry.get(dataset_type) if isinstance(dataset_type, str) else dataset_type
        if cls is None and strict:
            raise KeyError(f"{path}.type='{dataset_type}' is not registered; add its module to custom_imports")
        # A subclass that reads the file in another way numbers labels in its own way.
        if getattr(cls, 'load_data_list', None) is not CocoDataset.load_data_list or _is_remote(dataset_cfg):
            continue
        # The class itself joins data_root, data_prefix and ann_file; nothing is read before full_init.
        arguments = {key: value for key, value in dataset_cfg.items() if key not in ('type', 'pipeline', '_scope_')}
        try:
            dataset = cls(**{**arguments, 'pipeline': [], 'lazy_init': True})
        except Exception:  # of any kind: the class is the user's
            if strict:
                raise
            continue
        yield path, dataset_cfg, dataset


def _parses_as_coco(dataset: Any) -> bool:
    """Whether a data set parses annotations as ``CocoDataset`` does; a subclass may not."""
    from mmdet.datasets import CocoDataset

    return type(dataset).parse_data_info is CocoDataset.parse_data_info


def _is_remote(cfg: Mapping[str, Any]) -> bool:
    prefix = cfg.get('data_prefix') or {}
    prefixes = [prefix] if isinstance(prefix, str) else list(prefix.values())
    places = [cfg.get('data_root'), cfg.get('ann_file'), *prefixes]
    return not is_local(cfg.get('backend_args')) or any('://' in place for place in places if isinstance(place, str))


def _use(cfg: Config, loader: str, dataset_cfg: Mapping[str, Any], dataset: Any) -> DatasetUse:
    """How the config uses a data set."""
    from mmdet.datasets.transforms import LoadAnnotations

    transforms = list(_transforms(dataset_cfg.get('pipeline'), cfg.get('default_scope')))
    masks = [
        each
        for each, cls in transforms
        if each.get('with_mask') and getattr(cls, 'transform', None) is LoadAnnotations.transform
    ]
    filters = {} if dataset.test_mode else dataset.filter_cfg or {}
    trains = loader == 'train_dataloader'
    return DatasetUse(
        trains=trains,
        evaluates=not trains,
        drops_empty=bool(filters.get('filter_empty_gt')),
        min_size=filters.get('min_size', 0),
        indices=dataset_cfg.get('indices'),
        loads_masks=bool(masks),
        polygons_only=any(not each.get('poly2mask', True) for each in masks),
        evaluator_needs=() if trains else _evaluator_needs(cfg, loader, dataset.ann_file),
        numbers_only=not trains and _takes_numbers_only(cfg, loader),
        loader=_image_loader(transforms),
    )


def _transforms(value: Any, scope: str | None) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """All transforms of a pipeline, also inside others, with their class; None for one that is not registered."""
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _transforms(each, scope)
    elif isinstance(value, Mapping):
        kind = value.get('type')
        if isinstance(kind, str):
            with TRANSFORMS.switch_scope_and_registry(scope) as registry:
                kind = registry.get(kind)
        yield value, kind
        for each in value.values():
            yield from _transforms(each, scope)


def _image_loader(transforms: Sequence[tuple[Mapping[str, Any], Any]]) -> ImageLoader | None:
    """How images are decoded; None if a transform of the user's own or a storage backend loads them."""
    from mmcv.transforms import LoadImageFromFile

    from mmcds.datasets.transforms.loading import LoadImageOrSkip

    known = (LoadImageFromFile.transform, LoadImageOrSkip.transform)
    loaders = [each for each, cls in transforms if getattr(cls, 'transform', None) in known]
    arguments = [each.get(key) for each in loaders for key in ('backend_args', 'file_client_args')]
    if not loaders or not all(map(is_local, arguments)):
        return None
    return ImageLoader(loaders[0].get('color_type', 'color'), loaders[0].get('imdecode_backend', 'cv2'))


def _leaves(cfg: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The data sets inside any wrappers, with their paths in the config."""
    if not isinstance(cfg, Mapping):
        return
    if 'dataset' in cfg:
        yield from _leaves(cfg['dataset'], f'{path}.dataset')
        # That of a LabelledFraction, whose images have no annotations of their own.
        yield from _leaves(cfg.get('unlabelled'), f'{path}{UNLABELLED}')
    elif 'datasets' in cfg:
        for i, inner in enumerate(cfg['datasets']):
            yield from _leaves(inner, f'{path}.datasets[{i}]')
    else:
        yield path, cfg


def _head_classes(
    cfg: Any, path: str, in_head: bool = False, keys: Sequence[str] = ('bbox_head', 'mask_head')
) -> Iterator[tuple[str, int]]:
    """Every ``num_classes`` under one of the ``keys``, with its path in the config."""
    if isinstance(cfg, (list, tuple)):
        for i, inner in enumerate(cfg):
            yield from _head_classes(inner, f'{path}[{i}]', in_head, keys)
    elif isinstance(cfg, Mapping):
        # Open-vocabulary heads count tokens of a text, class-agnostic ones do not count classes at all.
        if cfg.get('language_model') or cfg.get('class_agnostic'):
            return
        if in_head and isinstance(cfg.get('num_classes'), int):
            yield f'{path}.num_classes', cfg['num_classes']
        for key, inner in cfg.items():
            yield from _head_classes(inner, f'{path}.{key}', in_head or key in keys, keys)


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


def _evaluators(cfg: Config, loader: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The evaluators of a loader, with their names in the config."""
    name = loader.replace('dataloader', 'evaluator')
    found = cfg.get(name) or []
    each_one = [found] if isinstance(found, Mapping) else found
    return [(name, each) for each in each_one if isinstance(each, Mapping)]


def _evaluator_needs(cfg: Config, loader: str, ann_file: str) -> tuple[str, ...]:
    """Fields of annotations that pycocotools reads while it evaluates this file."""
    needs: list[str] = []
    for _, evaluator in _evaluators(cfg, loader):
        kind = bare_kind(evaluator.get('type'))
        file = evaluator.get('ann_file')
        if kind not in ('CocoMetric', 'FasterCocoMetric') or evaluator.get('format_only') or not file:
            continue
        if os.path.abspath(file) == os.path.abspath(ann_file):
            metrics = evaluator.get('metric', 'bbox')
            needs += ['segmentation'] if 'segm' in ([metrics] if isinstance(metrics, str) else metrics) else []
            needs += ['iscrowd'] if kind == 'CocoMetric' else []
    return tuple(dict.fromkeys(needs))


def _takes_numbers_only(cfg: Config, loader: str) -> bool:
    return any(bare_kind(each.get('type')) == 'FasterCocoMetric' for _, each in _evaluators(cfg, loader))


def _compare_evaluator(name: str, evaluator: Mapping[str, Any], report: CocoReport, classes: Any) -> None:
    """Check that evaluators read the file of the data set; otherwise they fail after the first epoch."""
    ann_file = _other_file(evaluator, report.ann_file)
    if not ann_file:
        return
    if not os.path.isfile(ann_file):
        report.errors.append(
            FileNotFoundError(
                f"{name}.ann_file='{ann_file}' does not exist, while the data set reads "
                f"'{report.ann_file}'; name the same file in both"
            )
        )
        return
    report.warnings[f"{name} reads another file, '{ann_file}'"] = 1
    names = read_label_names(ann_file, classes) if isinstance(classes, (list, tuple)) else None
    absent = [each for each in classes if each not in names] if names is not None else []
    if absent:
        report.errors.append(
            ValueError(
                f"{name}.ann_file='{ann_file}' has no categories {listed(absent)}, while the data set reads "
                f"'{report.ann_file}'; name the same file in both"
            )
        )


def _other_file(evaluator: Mapping[str, Any], ann_file: str) -> str:
    """The annotation file of an evaluator, if it is on a disk and not that of the data set."""
    other = evaluator.get('ann_file')
    if not isinstance(other, str) or not other or '://' in other or not is_local(evaluator.get('backend_args')):
        return ''
    return '' if os.path.abspath(other) == os.path.abspath(ann_file) else other


def _orders(cfg: Config, loader: str, reports: Sequence[CocoReport]) -> Iterator[LabelOrder]:
    """Numbering of the classes in the existing files of a loader and of its evaluators."""
    known = {report.name: report.label_names for report in reports}
    # A training set without labels, as of semi-supervised training, has no numbers to compare.
    unlabelled = {report.name for report in reports if loader == LOADERS[0] and not report.num_boxes}
    # What the run uses was built before, and strictly.
    for path, dataset_cfg, dataset in _coco_datasets(cfg, loader, strict=False):
        classes = dataset.metainfo.get('classes')
        # Open-vocabulary models learn names, not numbers.
        if (
            not classes
            or not isinstance(classes, (list, tuple))
            or dataset_cfg.get('return_classes')
            or path in unlabelled
            or path.endswith(UNLABELLED)
        ):
            continue
        names = known.get(path) or read_label_names(dataset.ann_file, classes) or ()
        if len(names) != len(classes):  # another finding
            continue
        yield LabelOrder(path, dataset.ann_file, names)
        for name, evaluator in _evaluators(cfg, loader):
            other = '' if evaluator.get('sort_categories') else _other_file(evaluator, dataset.ann_file)
            names = (read_label_names(other, classes) if other else None) or ()
            if len(names) == len(classes):
                yield LabelOrder(f'{name}.ann_file', other, names)


def _compare_orders(
    cfg: Config,
    reports: list[CocoReport],
    loaders: Sequence[str],
    trained_classes: Callable[[], Sequence[str] | None] | None,
) -> None:
    """Report names with two labels: mmdet numbers categories by their order in each file and ignores ``classes``."""
    trained = list(_orders(cfg, LOADERS[0], reports))
    others = [order for loader in LOADERS[1:] if loader in loaders for order in _orders(cfg, loader, reports)]
    if LOADERS[0] in loaders and LOADERS[2] not in loaders and trained:
        # The test set of a base config may be of other classes altogether.
        names = set(trained[0].names)
        others += [order for order in _orders(cfg, LOADERS[2], reports) if set(order.names) == names]
    if not trained:
        _compare_checkpoint(reports, trained_classes)
    reference = next(iter(trained + others), None)
    if reference is None:
        return
    judged = others
    if LOADERS[0] in loaders:
        # Nothing is trained yet, so the file that agrees with the classes need not be changed.
        classes = {report.name: report.classes for report in reports}
        judged = trained + others
        reference = next((each for each in judged if each.names == classes.get(reference.where)), reference)
    wrong = [order for order in judged if contradiction(order, reference)]
    if not wrong:
        return
    files = ' and '.join(dict.fromkeys(f"'{order.source}'" for order in wrong))
    right = listed(reference.names) if len(reference.names) <= 10 else f"that of '{reference.source}'"
    error = ValueError(
        f'{contradiction(wrong[0], reference)}: mmdet numbers categories by their place in the file, whatever '
        f"metainfo.classes says; bring the list 'categories' of {files} into the order {right} (ids and annotations "
        'stay as they are)'
    )
    for report in reports:
        report.warnings = {what: n for what, n in report.warnings.items() if not what.startswith(OTHER_ORDER)}
    if not any(report.name == wrong[0].where for report in reports):  # an evaluator's file, or one only compared
        reports.append(CocoReport(wrong[0].where, wrong[0].source))
    next(report for report in reports if report.name == wrong[0].where).errors.insert(0, error)


def _compare_checkpoint(
    reports: Sequence[CocoReport], trained_classes: Callable[[], Sequence[str] | None] | None
) -> None:
    """Warn if the classes in the checkpoint are in another order. They come from its config, so it is no error."""
    classes = tuple(trained_classes() or ()) if trained_classes else ()
    for report in reports:
        different = sum(a != b for a, b in zip(classes, report.label_names, strict=False))
        if not different or set(classes) != set(report.label_names):
            continue
        report.warnings = {what: n for what, n in report.warnings.items() if not what.startswith(OTHER_ORDER)}
        order = listed(classes) if len(classes) <= 10 else 'of its dataset_meta'
        report.warnings[
            f"categories in '{report.ann_file}' in another order than the classes of the checkpoint; if the training "
            'file, which is not there to compare, had the order of those classes, metrics will be wrong: then bring '
            f"the list 'categories' into the order {order}"
        ] = different
