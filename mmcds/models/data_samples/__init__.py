"""Readers of the packages' batches, one file per format."""

from .formats import BatchFormat, check_batch, read_targets, register_batch_format

__all__ = ['BatchFormat', 'check_batch', 'read_targets', 'register_batch_format']
