"""Checks of mmrotate's and mmsegmentation's data sets, made before the model is built."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS

from mmcds.models.necks import supervised_model
from mmcds.utils.type_name import bare_kind

from .check_detection import LOADERS, _compare_heads, _head_classes, _is_remote, _leaves
from .image_files import missing_files, spread
from .label_order import LabelOrder, contradiction, listed

#: Number of label maps of a data set that are opened.
MAPS = 20
#: Largest class that a label map can have where the ignored one is not known.
IGNORED = 255


def check_rotate_seg(
    cfg: Config,
    loaders: Sequence[str] = LOADERS[:2],
    trained_classes: Callable[[], Sequence[str] | None] | None = None,
) -> list[str]:
    """Check that folders and files are there, annotations can be read, and heads and data sets have the same classes.

    A data set is built as the run builds it, without its pipeline. Of label maps, up to :data:`MAPS` are opened. Data
    sets on remote storage are left alone.

    Args:
        cfg (Config): A full config of mmrotate or mmsegmentation; it is not changed.
        loaders (Sequence[str]): Whose data sets are looked at. Defaults to those of training and validation.
        trained_classes (Callable, optional): Gives the classes that a checkpoint names, or None. Defaults to None.

    Returns:
        list[str]: Warnings, one line each.

    Raises:
        FileNotFoundError: If a folder, an image or a label map is missing.
        ValueError: If a data set is empty or cannot be read, a label map has a class that the data set has not, a head
            has another number of classes, or two data sets number the same class otherwise.
    """
    heads = list(_head_classes(supervised_model(cfg), 'model', keys=('bbox_head', 'mask_head', 'decode_head')))
    orders, warnings = [], []
    for loader in loaders:
        for path, part in _leaves((cfg.get(loader) or {}).get('dataset'), f'{loader}.dataset'):
            if _is_remote(part):
                continue
            dataset = _read(path, part, cfg.get('default_scope'))
            classes = dataset.metainfo.get('classes')
            if classes:
                for error in _compare_heads(heads, classes):
                    raise error
                orders.append(LabelOrder(path, str(dataset.ann_file or _folder(dataset)), tuple(classes)))
            infos = [dataset.get_data_info(index) for index in range(len(dataset))]
            _check_there(path, infos)
            _check_maps(path, dataset, infos, part.get('pipeline') or ())
    trained = tuple((trained_classes() if trained_classes else None) or ())
    for order in orders:
        if found := contradiction(order, orders[0]):
            raise ValueError(f'{found}; give both data sets metainfo.classes in the same order')
        if set(order.names) == set(trained) and order.names != trained:
            warnings.append(
                f'{order.where} has the classes of the checkpoint in another order, so metrics will be wrong; set its '
                f'metainfo.classes to {listed(trained)}'
            )
    return warnings


def _read(path: str, part: Mapping[str, Any], scope: str | None) -> Any:
    """Build a data set without its pipeline, with all of its annotations."""
    kind: Any = part.get('type')
    with DATASETS.switch_scope_and_registry(scope) as registry:
        cls = registry.get(kind) if isinstance(kind, str) else kind
    if cls is None:
        raise ValueError(f"{path}.type='{kind}' is not registered; add its module to custom_imports")
    arguments = {key: value for key, value in part.items() if key not in ('type', 'pipeline', '_scope_')}
    dataset = cls(**{**arguments, 'pipeline': [], 'lazy_init': True, 'serialize_data': False})
    if hasattr(dataset, 'prepare'):
        dataset.prepare()
    for field, folder in _places(dataset):
        if not os.path.exists(folder):
            raise FileNotFoundError(f"{path}.{field}='{folder}' does not exist; set data_root, or {path}.{field}")
    try:
        dataset.full_init()
    except KeyError as error:
        raise ValueError(
            f"{path}.ann_file='{dataset.ann_file}' names the class {error}, which is not among its classes "
            f'({listed(dataset.metainfo.get("classes") or ())}); set {path}.metainfo.classes, or mend the annotation'
        ) from error
    except (ValueError, IndexError, AssertionError, OSError) as error:
        raise ValueError(f"{path}: annotations in '{dataset.ann_file}' cannot be read ({error})") from error
    if not len(dataset):
        raise ValueError(
            f"{path} has no image: none in '{_folder(dataset)}' has the suffix and the annotation that it looks for; "
            'set data_root, data_prefix and img_suffix'
        )
    return dataset


def _places(dataset: Any) -> Iterator[tuple[str, str]]:
    """Fields of a data set that name a file or folder, with its path."""
    for name, folder in dataset.data_prefix.items():
        if isinstance(folder, str) and folder:
            yield f'data_prefix.{name}', folder
    if isinstance(dataset.ann_file, str) and dataset.ann_file:
        yield 'ann_file', dataset.ann_file


def _folder(dataset: Any) -> str:
    return str(next(iter(dataset.data_prefix.values()), ''))


def _check_there(path: str, infos: Sequence[Mapping[str, Any]]) -> None:
    """Raise if images or label maps are missing."""
    for key, what in (('img_path', 'images'), ('seg_map_path', 'label maps')):
        files = [str(info[key]) for info in infos if info.get(key)]
        missing = missing_files(files)
        if missing:
            raise FileNotFoundError(
                f"{path}: {len(missing)} of {len(files)} {what} are missing, the first is '{missing[0]}'; set "
                'data_root or data_prefix, or remove them from the annotation'
            )


def _check_maps(
    path: str, dataset: Any, infos: Sequence[Mapping[str, Any]], pipeline: Sequence[Mapping[str, Any]]
) -> None:
    """Raise if a label map is a picture, or has a class that the data set has not."""
    classes, ignored = dataset.metainfo.get('classes'), getattr(dataset, 'ignore_index', IGNORED)
    if not classes or getattr(dataset, 'label_map', None):
        return
    # Other loaders have formats of their own.
    loaders = [step for step in pipeline if bare_kind(step.get('type')) == 'LoadAnnotations']
    if not loaders:
        return
    backend = loaders[0].get('imdecode_backend', 'pillow')
    first = 1 if getattr(dataset, 'reduce_zero_label', False) else 0
    with_map = [info for info in infos if info.get('seg_map_path')]
    for index in spread(len(with_map), MAPS):
        file = str(with_map[index]['seg_map_path'])
        try:
            labels = mmcv.imfrombytes(Path(file).read_bytes(), flag='unchanged', backend=backend)
        except Exception as error:  # every decoder has its own
            raise ValueError(f"{path}: label map '{file}' does not decode ({error}); replace the file") from error
        if labels is None or labels.ndim != 2:
            shape = None if labels is None else labels.shape
            raise ValueError(
                f"{path}: label map '{file}' has the shape {shape}, not (H, W); each pixel is the number of its class "
                '(0, 1, ...), not a colour'
            )
        values = np.unique(labels)
        wrong = values[(values != ignored) & (values != IGNORED) & (values >= len(classes) + first)]
        if len(wrong):
            raise ValueError(
                f"{path}: label map '{file}' has the class {int(wrong[0])}, but the data set has {len(classes)} "
                f'classes ({listed(classes)}), numbered from {first}; set metainfo.classes, or {ignored} to ignore it'
            )
