"""Checks of a config's classification data sets, made before the model is built."""

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from .check import _compare_heads, _leaves

#: Paths below the root that must all be there; ``*/`` stands for any folder.
Paths = tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Where a data set comes from and what its makers distribute.

    Attributes:
        url (str): The makers' page.
        layouts (Callable[[str], list[Paths]]): For a split, the layouts that are read, each a tuple of paths.
        split (str): The split that the data set class takes where the config names none.
        downloads (bool): Whether mmpretrain fetches it with ``download=True``.
    """

    url: str
    layouts: Callable[[str], list[Paths]]
    split: str = 'train'
    downloads: bool = False


def _cifar(folder: str, files: Sequence[str]) -> Source:
    paths = tuple(f'{folder}/{name}' for name in files)
    return Source('https://www.cs.toronto.edu/~kriz/cifar.html (python version)', lambda split: [paths], downloads=True)


#: By the name of the data set class.
SOURCES = {
    'CIFAR10': _cifar('cifar-10-batches-py', (*(f'data_batch_{i}' for i in range(1, 6)), 'test_batch')),
    'CIFAR100': _cifar('cifar-100-python', ('train', 'test')),
    'ImageNet': Source(
        'https://www.image-net.org/download.php (ILSVRC 2012)',
        lambda split: [(f'{split}/*/',), (split, f'meta/{split}.txt')],
        split='',
    ),
    'CUB': Source(
        'https://www.vision.caltech.edu/datasets/cub_200_2011/',
        lambda split: [('images', 'images.txt', 'image_class_labels.txt', 'train_test_split.txt')],
    ),
    'StanfordCars': Source(
        'https://ai.stanford.edu/~jkrause/cars/car_dataset.html',
        lambda split: [
            ('car_ims', 'cars_annos.mat'),
            (f'cars_{split}', f'devkit/cars_{split}_annos{"_withlabels" if split == "test" else ""}.mat'),
        ],
    ),
    'Flowers102': Source(
        'https://www.robots.ox.ac.uk/~vgg/data/flowers/102/',
        lambda split: [('jpg', 'imagelabels.mat', 'setid.mat')],
        split='trainval',
    ),
    'StanfordDogs': Source(
        'http://vision.stanford.edu/aditya86/ImageNetDogs/',
        lambda split: [('Images', f'lists/{split}_list.mat'), ('Images', f'{split}_list.mat')],
    ),
    'FGVCAircraft': Source(
        'https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/',
        lambda split: [('data/images', f'data/images_variant_{split}.txt')],
        split='trainval',
    ),
}


def check_classification(cfg: Config, loaders: Sequence[str] = ('train_dataloader', 'val_dataloader')) -> None:
    """Check that the data sets of :data:`SOURCES` are there, and that the heads have as many classes as they.

    Data sets inside wrappers are looked at, too. Other types, layouts of the
    user's own (``ann_file``, ``data_prefix``) and files on remote storage are left alone.

    Args:
        cfg (Config): A full config of mmpretrain; it is not changed.
        loaders (Sequence[str]): Whose data sets are looked at. Defaults to those of training and validation.

    Raises:
        FileNotFoundError: If a data set is not there: with the official source, the layout and the path looked at.
        ValueError: If a head has another number of classes than the data set.
    """
    heads = list(_head_classes(cfg.get('model') or {}))
    for loader in loaders:
        for path, dataset in _leaves((cfg.get(loader) or {}).get('dataset'), f'{loader}.dataset'):
            classes = _classes(dataset, cfg.get('default_scope'))
            for error in _compare_heads(heads, classes) if classes else []:
                raise error
            _check_files(path, dataset)


def _check_files(path: str, dataset: Mapping[str, Any]) -> None:
    """Fail if a data set of :data:`SOURCES` is not in any of its layouts."""
    kind: Any = dataset.get('type')
    name = (kind if isinstance(kind, str) else getattr(kind, '__name__', '')).rpartition('.')[2]
    source, root = SOURCES.get(name), str(dataset.get('data_root') or '')
    if source is None or not root or '://' in root:
        return
    split = dataset.get('split', source.split)
    if dataset.get('ann_file') or dataset.get('data_prefix') or dataset.get('download', source.downloads) or not split:
        return
    layouts = source.layouts(split)
    missing = [[each for each in paths if not _exists(root, each)] for paths in layouts]
    if not all(missing):
        return
    nearest = min(missing, key=len)
    expected = ' or '.join(', '.join(paths) for paths in layouts)
    remedy = f', or let mmpretrain fetch it with --cfg-options {path}.download=True' if source.downloads else ''
    raise FileNotFoundError(
        f'{path}: {name} is not there, looked for {os.path.abspath(os.path.join(root, nearest[0]))!r}; get it from '
        f'{source.url}, unpack it so that {root!r} has {expected}, or name its folder with --cfg-options '
        f'data_root=PATH{remedy}'
    )


def _exists(root: str, path: str) -> bool:
    return next(glob.iglob(os.path.join(glob.escape(root), path)), None) is not None


def _classes(dataset: Mapping[str, Any], scope: str | None) -> Sequence[str] | None:
    """The names of the classes, as far as they are known before the data are read."""
    from mmpretrain.registry import DATASETS

    kind: Any = dataset.get('type')
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(scope) as registry:
            kind = registry.get(kind)
    named = dataset.get('classes') or (dataset.get('metainfo') or {}).get('classes')
    # A string is the path of a file of names.
    found = named or getattr(kind, 'METAINFO', {}).get('classes')
    return None if isinstance(found, str) else found


def _head_classes(model: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """``num_classes`` of the classifier, and of the auxiliary ones of a DSNNeck, with its path in the config."""
    for part in ('head', 'neck'):
        count = (model.get(part) or {}).get('num_classes') if isinstance(model.get(part), Mapping) else None
        if isinstance(count, int):
            yield f'model.{part}.num_classes', count
