"""What is contrasted: whole images, annotated instances or grid points.

A sampler is an object with ``sample(views) -> Samples``, called once per step, and
``crop(feature, rois, input_size) -> (M, C, h, w)``, called for each tap and view. If it has
``indexed_by_image = True``, its rois, or their first column, are the image's place in the batch, and where both
views are one batch it is called once. ``in_pixels = True`` says that they are (image, x, y[, x2, y2]), in pixels.
"""

from .dense import DenseSampler
from .image import ImageSampler
from .instance import InstanceSampler
from .targets import Samples, ViewPair

__all__ = ['DenseSampler', 'ImageSampler', 'InstanceSampler', 'Samples', 'ViewPair']
