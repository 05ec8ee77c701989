"""Supervision of the taps: the contrast, deep supervision as its control, and distillation from a teacher."""

from ..step_data import Features, feature_of
from .base import ATTRIBUTE, PROJECTORS, SAMPLERS, Supervision
from .contrastive import ContrastiveSupervision
from .deep import DeepSupervision
from .teacher import Teacher

__all__ = [
    'ATTRIBUTE',
    'PROJECTORS',
    'SAMPLERS',
    'ContrastiveSupervision',
    'DeepSupervision',
    'Features',
    'Supervision',
    'Teacher',
    'feature_of',
]
