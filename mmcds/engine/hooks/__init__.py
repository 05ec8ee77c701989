"""MMEngine hooks."""

from mmcds.config.schedule import ContrastSchedule

from .cds_hook import CDSHook
from .diagnostics_hook import DiagnosticsHook
from .distill_hook import DistillHook
from .epoch_seed_hook import EpochSeedHook
from .label_check_hook import LabelCheckHook
from .resume_check_hook import ResumeCheckHook
from .stock_weights_hook import StockWeightsHook

__all__ = [
    'CDSHook',
    'ContrastSchedule',
    'DiagnosticsHook',
    'DistillHook',
    'EpochSeedHook',
    'LabelCheckHook',
    'ResumeCheckHook',
    'StockWeightsHook',
]
