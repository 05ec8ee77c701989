"""Picks one config of every folder that mmdet ships."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mmengine.config import Config

from mmcds.config.load_config import load_config, package_configs

#: Folders whose files name what they are about by another word than the folder's.
WORDS = {'dcn': 'dconv', 'dcnv2': 'mdconv', 'gcnet': 'gcb', 'libra_rcnn': 'libra', 'guided_anchoring': 'ga-'}

#: Trackers that only put trained models together: of their folders, what is trained stands for them.
ASSEMBLED = ('DeepSORT', 'StrongSORT')


@dataclass(frozen=True)
class Family:
    """A folder of mmdet's configs.

    Attributes:
        name (str): The folder.
        config (str): The lightest of its configs that stands for it, as :func:`load_config` takes it;
            empty where there is none.
        reason (str): Why there is none.
    """

    name: str
    config: str
    reason: str = ''


@cache
def list_families() -> tuple[Family, ...]:
    """All folders of the installed mmdet's configs, in the order of their names.

    Raises:
        ValueError: If mmdet is not installed or ships no configs.
    """
    folders = sorted(each for each in package_configs('mmdet').iterdir() if each.is_dir())
    return tuple(_choose(folder) for folder in folders)


def family_of(name: str) -> Family:
    """The family of this name.

    Raises:
        ValueError: If mmdet ships no such folder.
    """
    found = {family.name: family for family in list_families()}
    if name not in found:
        raise ValueError(f'family={name!r} is not among those mmdet ships; valid: {", ".join(found)}')
    return found[name]


def _choose(folder: Path) -> Family:
    names = [path.name for path in folder.glob('*.py')]
    if not names:
        return Family(folder.name, '', 'holds parts that other configs inherit')
    assembled = None
    for name in sorted(names, key=lambda name: rank(folder.name, Path(name).stem)):
        config = f'mmdet::{folder.name}/{name}'
        # Some files that mmdet ships inherit from one that it does not.
        cfg = _try_to_load(config)
        if cfg is None or not cfg.get('model'):
            continue
        if cfg.model.type not in ASSEMBLED:
            return Family(folder.name, config)
        assembled = assembled or Family(folder.name, config)
    return assembled or Family(folder.name, '', 'holds parts that other configs inherit, no model')


def _try_to_load(config: str) -> Config | None:
    try:
        return load_config(config)
    except FileNotFoundError:
        return None


def rank(folder: str, stem: str) -> tuple:
    """Sorts the files of a folder: first what stands for it, then what is light.

    Args:
        folder (str): Name of the folder.
        stem (str): Name of the file, without its ending.
    """

    def plain(text: str) -> str:
        return re.sub('[^a-z0-9]', '', text.lower())

    deformable = 'dconv' in stem or 'dcn' in stem or 'dpool' in stem
    heavy = bool(re.search(r'x101|x50|swin-[sbl]|swin[bl]|_[mlx]_|convnext-s|ssd512|GF', stem))
    # 'r50', 's101', 'w18': what backbones are called; others count as a ResNet-50, but SSD needs large images.
    number = re.search(r'(?:^|[-_])(?:r|s|w|effb|pvtv2-b|res2net-)(\d+)', stem)
    depth = int(number[1]) if number else 10 if re.search('tiny|nano', stem) else 60 if 'ssd300' in stem else 50
    return (
        plain(WORDS.get(folder, folder)) not in plain(stem),
        # A proposal network alone, and one fed with proposals, are less than a detector.
        bool(re.search(r'(?<![a-z])fast-rcnn|rpn_[rx]\d', stem)),
        deformable,
        heavy,
        bool(re.search(r'mask|htc|ins_', stem)),
        depth,
        len(stem),
        stem,
    )
