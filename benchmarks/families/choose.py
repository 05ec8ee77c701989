"""Picks one config of every folder that the installed packages ship."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config

from mmcds.config.load_config import load_config, package_configs
from mmcds.utils.errors import unknown_name

#: Packages whose folders are walked. Names of families start with the package, but for the first.
PACKAGES = ('mmdet', 'mmrotate', 'mmseg', 'mmyolo')
#: Packages that keep other kinds of models in folders inside folders (``rtmdet/rotated``).
NESTED = ('mmyolo',)
#: Folders that hold nothing to train: parts that configs inherit, and what exports a trained model.
NOT_TRAINED = ('_base_', 'deploy')

#: Folders whose files use another word than the folder's name.
WORDS = {
    'dcn': 'dconv',
    'dcnv2': 'mdconv',
    'gcnet': 'gcb',
    'libra_rcnn': 'libra',
    'guided_anchoring': 'ga-',
    'rtmdet/rotated': 'rtmdet-r',
    'sem_fpn': 'fpn',
    'segmenter': 'mask',
    # The other one has the batches of the folder above.
    'yolov5/crowdhuman': 'ignore',
}
#: Depth that stands for the word of a size in a file's name; a ResNet has its own.
SIZES = {
    **dict.fromkeys(('nano', 'n'), 9),
    'tiny': 10,
    **dict.fromkeys(('small', 's', 'slim'), 20),
    **dict.fromkeys(('large', 'l'), 90),
}
#: What the depth of a name without any of these words counts as.
USUAL_DEPTH = 50

#: Trackers that only combine trained models. Another config of their folder is preferred.
ASSEMBLED = ('DeepSORT', 'StrongSORT')


@dataclass(frozen=True)
class Family:
    """A folder of a package's configs.

    Attributes:
        package (str): The package.
        folder (str): The folder, inside those of the package's configs.
        config (str): The lightest of its configs that stands for it, as :func:`load_config` takes it; empty if there
            is none.
        reason (str): Why there is none.
    """

    package: str
    folder: str
    config: str
    reason: str = ''

    @property
    def name(self) -> str:
        """The folder for mmdet, ``'<package>/<folder>'`` for the others."""
        return self.folder if self.package == PACKAGES[0] else f'{self.package}/{self.folder}'


def installed_packages() -> tuple[str, ...]:
    """Those of :data:`PACKAGES` that are installed."""
    return tuple(package for package in PACKAGES if find_spec(package) is not None)


@cache
def list_families(package: str = PACKAGES[0]) -> tuple[Family, ...]:
    """All folders of an installed package's configs, in the order of their names.

    Args:
        package (str): One of :data:`PACKAGES`. Defaults to 'mmdet'.

    Raises:
        ValueError: If the package is not installed or ships no configs.
    """
    return tuple(_choose(package, folder) for folder in _folders(package))


def package_of(name: str) -> str:
    """The package in the name of a family."""
    first = name.partition('/')[0]
    return first if first in PACKAGES else PACKAGES[0]


def folder_of(name: str) -> str:
    """The folder in the name of a family."""
    return name.removeprefix(f'{package_of(name)}/')


def family_of(name: str) -> Family:
    """The family of this name.

    Args:
        name (str): A folder of mmdet (``'retinanet'``), or of any package (``'mmrotate/rotated_fcos'``).

    Raises:
        ValueError: If the package is not installed, or ships no such folder.
    """
    package = package_of(name)
    folder = folder_of(name)
    folders = _folders(package)
    if folder not in folders:
        raise unknown_name('family', folder, folders, f'these are the folders of the configs of {package}')
    return _choose(package, folder)


def _folders(package: str) -> list[str]:
    root = package_configs(package)
    paths = [path for path in root.iterdir() if path.is_dir()]
    if package in NESTED:
        inner = [file.parent for path in paths if path.name not in NOT_TRAINED for file in path.rglob('*.py')]
        paths = sorted({*(path for path in paths if path.name in NOT_TRAINED), *inner})
    return sorted(str(path.relative_to(root)) for path in paths)


@cache
def _choose(package: str, folder: str) -> Family:
    names = [path.name for path in (package_configs(package) / folder).glob('*.py')]
    if not names:
        return Family(package, folder, '', 'holds parts that other configs inherit')
    assembled, reasons = None, []
    for name in sorted(names, key=lambda name: rank(folder, Path(name).stem, package)):
        config = f'{package}::{folder}/{name}'
        cfg = _try_to_load(config)
        if isinstance(cfg, str):
            reasons.append(cfg)
        elif cfg.get('model'):
            if cfg.model.get('type') not in ASSEMBLED:
                return Family(package, folder, config)
            assembled = assembled or Family(package, folder, config)
    return assembled or Family(package, folder, '', next(iter(reasons), 'none of its configs has a model'))


def _try_to_load(config: str) -> Config | str:
    """The config, or why it cannot be loaded."""
    try:
        return load_config(config)
    except FileNotFoundError:
        return 'inherits from a file that is not shipped'
    # MMEngine raises a bare Exception for a package that is not installed.
    except Exception as error:
        package = re.search(r"(\w+) is not installed|imports': \['(\w+)", str(error))
        if package is None:
            raise
        return f'needs the optional package {next(filter(None, package.groups()))}'


def rank(folder: str, stem: str, package: str = PACKAGES[0]) -> tuple:
    """Sorts the files of a folder: first what stands for it, then what is light.

    Args:
        folder (str): Name of the folder.
        stem (str): Name of the file, without its ending.
        package (str): The package. Defaults to 'mmdet'.
    """

    def plain(text: str) -> str:
        return re.sub('[^a-z0-9]', '', text.lower())

    deformable = 'dconv' in stem or 'dcn' in stem or 'dpool' in stem
    heavy = bool(re.search(r'x101|x50|swin-[sbl]|swin[bl]|_[mlx]_|convnext-s|ssd512|GF', stem))
    sides = re.findall(r'(\d{2,4})x(\d{2,4})', stem) or [(0, 0)]
    return (
        plain(WORDS.get(folder, folder.rpartition('/')[2])) not in plain(stem),
        # A proposal network alone, and one fed with proposals, are less than a detector. Fine-tuning on few classes
        # freezes the backbone, and pairs of images are unusual.
        bool(re.search(r'(?<![a-z])fast-rcnn|rpn_[rx]\d|levir|_cat$', stem)),
        deformable,
        heavy,
        bool(re.search(r'mask|htc|ins_', stem)),
        depth_of(stem),
        # mmcv has no IoU loss of rotated boxes for the CPU; these have a loss of upright boxes.
        package == 'mmrotate' and 'hbox' not in stem,
        int(sides[-1][0]) * int(sides[-1][1]),
        len(stem),
        stem,
    )


def depth_of(stem: str) -> int:
    """Depth of the backbone that the name of a file tells: 'r50', 's101', 'tiny', '_n_'.

    Args:
        stem (str): Name of the file, without its ending.
    """
    # Those named by a number; SSD needs large images.
    number = re.search(r'(?:^|[-_])(?:r|s|w|hr|effb|pvtv2-b|mit-b|res2net-)(\d+)', stem)
    if number:
        return int(number[1])
    # A small Swin takes the time of a ResNet-50.
    words = () if 'swin' in stem else re.split('[-_]', stem)
    return min((SIZES[word] for word in words if word in SIZES), default=60 if 'ssd300' in stem else USUAL_DEPTH)
