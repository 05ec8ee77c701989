"""Transforms that mmcv, mmdet and mmpretrain lack."""

from .cutout import Cutout
from .loading import LoadImageOrSkip
from .two_views import TwoViews

__all__ = ['Cutout', 'LoadImageOrSkip', 'TwoViews']
