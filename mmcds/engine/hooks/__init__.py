"""MMEngine hooks."""

from .cds_hook import CDSHook
from .epoch_seed_hook import EpochSeedHook
from .schedule import ContrastSchedule

__all__ = ['CDSHook', 'ContrastSchedule', 'EpochSeedHook']
