"""MMEngine hooks."""

from .cds_hook import CDSHook
from .distill_hook import DistillHook
from .epoch_seed_hook import EpochSeedHook
from .label_check_hook import LabelCheckHook
from .schedule import ContrastSchedule

__all__ = ['CDSHook', 'ContrastSchedule', 'DistillHook', 'EpochSeedHook', 'LabelCheckHook']
