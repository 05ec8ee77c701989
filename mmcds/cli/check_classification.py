"""Checks of a config's classification data sets, made before the model is built."""

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from mmcds.utils.type_name import bare_kind

from .check_detection import LOADERS, _compare_heads, _image_loader, _is_remote, _leaves, _transforms
from .image_files import missing_files
from .label_order import LabelOrder, contradiction, listed

#: Paths below the root that must all be there; ``*/`` stands for any folder.
Paths = tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Source of a data set and the files that its makers distribute.

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


def check_classification(
    cfg: Config,
    loaders: Sequence[str] = LOADERS[:2],
    trained_classes: Callable[[], Sequence[str] | None] | None = None,
) -> list[str]:
    """Check that data sets are there, that the heads have as many classes as they, and that all number them alike.

    The layout is looked at for data sets of :data:`SOURCES`; the images and the numbers of the classes for those that
    list images in an annotation file or take folders for classes (``CustomDataset``, ``BaseDataset``).
    Data sets inside wrappers are looked at, too. Other types and files on remote storage are left alone.

    Args:
        cfg (Config): A full config of mmpretrain; it is not changed.
        loaders (Sequence[str]): Whose data sets are looked at. Defaults to those of training and validation.
        trained_classes (Callable, optional): Gives the classes that a checkpoint names, or None; called where the
            training data are not there to compare. Defaults to None.

    Returns:
        list[str]: Warnings, one line each.

    Raises:
        FileNotFoundError: If a data set is not there: with the official source, the layout and the path looked at;
            or an image of an evaluation.
        ValueError: If a head has another number of classes than the data set, or two data sets number the same
            class otherwise.
    """
    heads = list(_head_classes(cfg.get('model') or {}))
    warnings: list[str] = []
    for loader in loaders:
        for path, dataset in _leaves((cfg.get(loader) or {}).get('dataset'), f'{loader}.dataset'):
            classes = _classes(dataset, cfg.get('default_scope'))
            for error in _compare_heads(heads, classes) if classes else []:
                raise error
            _check_files(path, dataset)
    _compare_orders(cfg, loaders, trained_classes)
    for loader in loaders:
        for path, dataset_cfg, built in _listing_datasets(cfg, loader):
            if built.ann_file:
                loader_known = _image_loader(list(_transforms(dataset_cfg.get('pipeline'), cfg.get('default_scope'))))
                warnings += _check_images(path, built, dataset_cfg.get('indices'), loader, loader_known is not None)
    return warnings


def _listing_datasets(cfg: Config, loader: str) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Data sets on a disk that list images or take folders for classes: path in the config, that part, the data set.

    What cannot be built is passed over: the run itself will say why.
    """
    from mmpretrain.datasets import BaseDataset, CustomDataset
    from mmpretrain.registry import DATASETS

    known = (BaseDataset.load_data_list, CustomDataset.load_data_list)
    for path, dataset in _leaves((cfg.get(loader) or {}).get('dataset'), f'{loader}.dataset'):
        kind: Any = dataset.get('type')
        if isinstance(kind, str):
            with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
                kind = registry.get(kind)
        if getattr(kind, 'load_data_list', None) not in known or _is_remote(dataset):
            continue
        arguments = {key: value for key, value in dataset.items() if key not in ('type', 'pipeline', '_scope_')}
        try:
            yield path, dataset, kind(**{**arguments, 'pipeline': [], 'lazy_init': True})
        except Exception:  # of any kind: the class may be the user's
            continue


def _check_images(path: str, dataset: Any, indices: Any, loader: str, look: bool) -> list[str]:
    """Check that listed images exist. Missing ones are a warning in training, an error in evaluation."""
    try:
        infos = dataset.load_data_list()
    except Exception:  # of any kind: the run itself will say what is wrong with the file
        return []
    if not infos:
        raise ValueError(f"{path}: ann_file '{dataset.ann_file}' lists no images")
    if isinstance(indices, int):
        infos = infos[:indices] if indices >= 0 else infos[indices:]
    paths = [info['img_path'] for info in infos if isinstance(info.get('img_path'), str)]
    missing = missing_files(paths) if look else []
    if not missing:
        return []
    found = f"{path}: {len(missing)} of {len(paths)} images do not exist (first: '{missing[0]}')"
    if len(missing) == len(paths):
        raise FileNotFoundError(f'{found}; check data_root and data_prefix')
    if loader != LOADERS[0]:
        raise FileNotFoundError(
            f'{found}; an evaluation stops at a missing image: add the files, or remove them from {dataset.ann_file!r}'
        )
    return [found]


def _orders(cfg: Config, loader: str) -> Iterator[LabelOrder]:
    """Numbering of the classes of data sets that name them by folders or files."""
    from mmpretrain.datasets import CustomDataset
    from mmpretrain.datasets.custom import find_folders

    for path, _, dataset in _listing_datasets(cfg, loader):
        try:
            if not isinstance(dataset, CustomDataset):
                named = dataset.CLASSES  # given in the config: these are names for pictures
                dataset.full_init()
                if not named and dataset.CLASSES:
                    yield LabelOrder(path, dataset.ann_file, tuple(dataset.CLASSES))
            elif dataset.with_label and not dataset.ann_file:
                yield LabelOrder(path, dataset.img_prefix, tuple(find_folders(dataset.img_prefix)[0]))
        except Exception:  # of any kind: the run itself will say what is wrong with the files
            continue


def _compare_orders(
    cfg: Config, loaders: Sequence[str], trained_classes: Callable[[], Sequence[str] | None] | None
) -> None:
    """Raise if a class has two labels: mmpretrain numbers the sorted folders of each data set separately."""
    trained = list(_orders(cfg, LOADERS[0]))
    others = [order for loader in LOADERS[1:] if loader in loaders for order in _orders(cfg, loader)]
    if LOADERS[0] in loaders and trained:
        # The test set of a base config may be of other classes altogether.
        names = {name for order in trained for name in order.names}
        others += [order for order in _orders(cfg, LOADERS[2]) if names.issuperset(order.names)]
    elif not trained and others and trained_classes and not _names_classes(cfg):
        names_of_checkpoint = trained_classes()
        trained = (
            [LabelOrder('the checkpoint', 'dataset_meta', tuple(names_of_checkpoint))] if names_of_checkpoint else []
        )
    judged = trained + others if LOADERS[0] in loaders else others
    for order in judged:
        reference = next(iter(trained + others))
        found = contradiction(order, reference)
        if not found:
            continue
        pairs = ((reference, order), (order, reference))
        hidden = [
            f"'{name}' is a folder of '{each.source}'" for each, _ in pairs for name in each.names if name[0] == '.'
        ]
        lacking = [
            f"'{one.source}' lacks {listed([name for name in two.names if name not in one.names])}"
            for one, two in pairs
            if set(two.names) - set(one.names)
        ]
        raise ValueError(
            f'{found}: labels are the places of the names in each data set alone; give both the same classes in the '
            f'same order (an empty folder counts): {"; ".join(hidden or lacking) or "they are in another order"}'
        )


def _names_classes(cfg: Config) -> bool:
    """Whether the training config names classes, so that those of a checkpoint do not come from folders."""
    leaves = _leaves((cfg.get(LOADERS[0]) or {}).get('dataset'), LOADERS[0])
    return any(_classes(dataset, cfg.get('default_scope')) is not None for _, dataset in leaves)


def _check_files(path: str, dataset: Mapping[str, Any]) -> None:
    """Fail if a data set of :data:`SOURCES` is not in any of its layouts."""
    name = bare_kind(dataset.get('type'))
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
        f'{path}: {name} is not there, looked for {os.path.abspath(os.path.join(root, nearest[0]))!r}; name its folder '
        f'with --cfg-options data_root=PATH, or get it from {source.url}{remedy}; {root!r} must have {expected}'
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
