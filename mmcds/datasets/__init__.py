"""Data sets that mmdet and mmpretrain lack."""

from importlib.util import find_spec

__all__: list[str] = []

# A classification-only environment has no mmdet.
if find_spec('mmdet') is not None:
    from .shapes_dataset import ShapesDataset

    __all__ += ['ShapesDataset']
