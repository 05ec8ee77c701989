"""Data sets that mmdet and mmpretrain lack."""

from importlib.util import find_spec

from .labelled_fraction import LabelledFraction

__all__ = ['LabelledFraction']

# A classification-only environment has no mmdet.
if find_spec('mmdet') is not None:
    from .shapes_dataset import ShapesDataset

    __all__ += ['ShapesDataset']

# And one for detection only has no mmpretrain.
if find_spec('mmpretrain') is not None:
    from .stanford_dogs import StanfordDogs

    __all__ += ['StanfordDogs']
