"""Metrics that mmdet and mmpretrain lack, and probes of what each tap has learned."""

from .calibration import Reliability, reliability
from .calibration_error import CalibrationError

__all__ = ['CalibrationError', 'Reliability', 'reliability']
