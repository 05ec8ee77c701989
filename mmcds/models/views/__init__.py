"""The second view: made on the device from the first, or by the data loader.

A view is an ``nn.Module`` with ``forward(inputs, data_samples, preprocessor)`` that returns the
second view's inputs (None if there is no second view) and a :class:`~mmcds.models.samplers.ViewPair`.
"""

from .dataloader import DataloaderView
from .photometric import PhotometricView
from .single import SingleView

__all__ = ['DataloaderView', 'PhotometricView', 'SingleView']
