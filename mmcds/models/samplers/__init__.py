"""Samplers of images, annotated instances, annotated pixels or grid points. Derive your own from ``parts.Sampler``."""

from ..step_data import Samples, ViewPair
from .dense import DenseSampler
from .image import ImageSampler
from .instance import InstanceSampler
from .pixel import PixelSampler

__all__ = ['DenseSampler', 'ImageSampler', 'InstanceSampler', 'PixelSampler', 'Samples', 'ViewPair']
