"""Metrics that mmdet and mmpretrain lack."""

from importlib.util import find_spec

from .calibration import Reliability, reliability
from .calibration_error import CalibrationError

__all__ = ['CalibrationError', 'Reliability', 'reliability']

# A classification-only environment has no mmdet.
if find_spec('mmdet') is not None:
    from .faster_coco_metric import FasterCocoMetric

    __all__ += ['FasterCocoMetric']
