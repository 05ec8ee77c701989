"""Data sets that mmdet and mmpretrain lack."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from mmcds.compat.old_names import moved_name
from mmcds.registry import DATASETS

from .labelled_fraction import LabelledFraction

__all__ = ['LabelledFraction']

#: Module of each class that derives from one of mmrotate or mmsegmentation; imported when the class is first used.
_LATE = {'RotatedShapesDataset': 'rotated_shapes', 'ShapesSegDataset': 'seg_shapes'}

# A classification-only environment has no mmdet.
if find_spec('mmdet') is not None:
    from .shapes_dataset import ShapesDataset

    __all__ += ['ShapesDataset']


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f'{__name__}.{_LATE[name]}'), name)
    return moved_name(__name__, name)


def _register_late(name: str) -> None:
    """Register a function that imports the class, which then takes its place, and builds the data set."""

    def build(*args: Any, **kwargs: Any) -> Any:
        return __getattr__(name)(*args, **kwargs)

    build.__name__ = name
    DATASETS.register_module(name=name, module=build)


for _name in _LATE:
    _register_late(_name)
