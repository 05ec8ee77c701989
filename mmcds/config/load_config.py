"""Loads configs, and changes the strings and data roots in them."""

import traceback
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmcds.compat.old_names import moved_file
from mmcds.utils.errors import unknown_name


def load_config(path: str) -> Config:
    """Load a config file, or one that an installed package ships.

    Args:
        path (str): A path, or ``'<package>::<path>'`` such as ``'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'``.

    Returns:
        Config: The full config, inherited parts included.

    Raises:
        FileNotFoundError: If there is no such file, naming the nearest ones.
        ValueError: If the package is not installed, or the file cannot be read as a config.
    """
    path = moved_file(path)
    package, _, inner = path.rpartition('::')
    if not package:
        if not Path(path).is_file():
            folder = Path(path).parent
            names = [str(file) for file in folder.glob('*.py')] if folder.is_dir() else []
            raise FileNotFoundError(str(unknown_name('config', path, names, 'give the path of a config file')))
        return _read(path)
    folder = package_configs(package)
    if not (folder / inner).is_file():
        names = [str(file.relative_to(folder)) for file in folder.rglob('*.py') if '_base_' not in file.parts]
        raise FileNotFoundError(
            f'config={path!r} is not among those {package} ships; {_near(inner, names)}remedy: list the files in '
            f"{package}'s .mim/configs"
        )
    return _read(folder / inner)


def _read(path: str | Path) -> Config:
    try:
        return Config.fromfile(path)
    except (SyntaxError, NameError, AttributeError, TypeError) as error:
        if any(frame.name == 'import_modules_from_strings' for frame in traceback.extract_tb(error.__traceback__)):
            raise  # a mistake in a module of custom_imports, whose traceback names it
        line = f' in line {error.lineno}' if isinstance(error, SyntaxError) else ''
        reason = error.msg if isinstance(error, SyntaxError) else ' '.join(str(error).split())
        raise ValueError(
            f'config={str(path)!r}, or a file that it inherits from, cannot be read: '
            f'{type(error).__name__}{line}: {reason}; mend it'
        ) from error


def package_configs(package: str) -> Path:
    """The folder of the configs that an installed MM package ships.

    Raises:
        ValueError: If the package is not installed or ships none.
    """
    from importlib.util import find_spec

    spec = find_spec(package) if package.isidentifier() else None
    for root in (spec.submodule_search_locations or []) if spec else []:
        if (Path(root) / '.mim' / 'configs').is_dir():
            return Path(root) / '.mim' / 'configs'
    raise ValueError(f"config='{package}::...': the package {package!r} is not installed or ships no configs")


def _near(name: str, names: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=3, cutoff=0.4)
    return f'nearest: {", ".join(near)}; ' if near else ''


def model_config(cfg: Config) -> ConfigDict:
    """A copy of a config's model, with the data preprocessor that mmpretrain's configs have beside it.

    MMEngine's Runner does the same before it builds a model.
    """
    model: ConfigDict = deepcopy(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', deepcopy(cfg.data_preprocessor))
    return model


def map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """Apply ``change`` to every string in nested dicts, lists and tuples, keeping their types.

    Unchanged parts stay the same objects: after a write to a pure-Python config MMEngine dumps its classes as code that
    cannot be loaded.
    """
    if isinstance(value, str):
        new = change(value)
        return value if new == value else new
    if isinstance(value, dict):
        for key in list(value):
            old = value[key]
            new = map_strings(old, change)
            if new is not old:
                value[key] = new
        return value
    if isinstance(value, (list, tuple)):
        items = [map_strings(item, change) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, '_fields') else type(value)(items)
    return value


def set_data_root(cfg: Config, data_root: str) -> None:
    """Move all data sets and annotation files of a config from its ``data_root`` to another.

    In a config file ``data_root`` is a variable. Overriding it after loading does not change the data sets, which have
    copied the old path; this function replaces that path in all of them. In a config without the variable, such as a
    pure-Python one, the old path is the ``data_root`` that its data sets share.

    Args:
        cfg (Config): Changed in place.
        data_root (str): The new folder.

    Raises:
        ValueError: If there is no old ``data_root``, more than one, or no data set lies in it.
    """
    variable = cfg.get('data_root')
    old = variable if isinstance(variable, str) and variable else _shared_root(cfg, data_root)
    new = data_root.rstrip('/') + '/'

    moved = 0

    def move(text: str) -> str:
        nonlocal moved
        inside = text.startswith(old.rstrip('/') + '/')
        moved += inside or text == old.rstrip('/')
        if text.rstrip('/') == old.rstrip('/'):
            return new
        return new + text[len(old.rstrip('/')) + 1 :] if inside else text

    for key in list(cfg.keys()):
        if key not in ('work_dir', 'data_root'):
            before = cfg[key]
            after = map_strings(before, move)
            if after is not before:
                cfg[key] = after
    if not moved:
        raise ValueError(
            f'data_root={data_root}: nothing in this config lies in its data_root={old!r}, so no data set would move; '
            "set train_dataloader.dataset.data_root and the other data sets' one by one"
        )
    if old is variable:
        cfg.data_root = new


def _shared_root(cfg: Config, data_root: str) -> str:
    """The one ``data_root`` of the data sets of a config that has no such variable."""
    roots: dict[str, None] = {}

    def look(value: Any) -> None:
        if isinstance(value, dict):
            root = value.get('data_root')
            if isinstance(root, str) and root:
                roots[root.rstrip('/')] = None
            value = list(value.values())
        if isinstance(value, (list, tuple)):
            for item in value:
                look(item)

    look([cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')])
    if len(roots) == 1:
        return next(iter(roots))
    reason = f'its data sets lie in {", ".join(roots)}' if roots else 'no data set of it has a data_root'
    raise ValueError(
        f'data_root={data_root}: data_root is not a variable of this config and {reason}; set '
        "train_dataloader.dataset.data_root and the other data sets' one by one"
    )
