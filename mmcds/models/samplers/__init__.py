"""Samplers of whole images, annotated instances or grid points. Derive your own from ``parts.Sampler``."""

from ..step_data import Samples, ViewPair
from .dense import DenseSampler
from .image import ImageSampler
from .instance import InstanceSampler

__all__ = ['DenseSampler', 'ImageSampler', 'InstanceSampler', 'Samples', 'ViewPair']
