"""Transforms that mmcv, mmdet and mmpretrain lack."""

from .loading import LoadImageOrSkip
from .two_views import TwoViews

__all__ = ['LoadImageOrSkip', 'TwoViews']
