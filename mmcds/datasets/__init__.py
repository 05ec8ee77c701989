"""Data sets that mmdet and mmpretrain lack."""

from importlib.util import find_spec
from typing import Any

from mmcds.compat.old_names import moved_name

from .labelled_fraction import LabelledFraction

__all__ = ['LabelledFraction']

# A classification-only environment has no mmdet.
if find_spec('mmdet') is not None:
    from .shapes_dataset import ShapesDataset

    __all__ += ['ShapesDataset']


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
