"""Readers of the packages' batches, one file per format."""

from .sample_list import check_batch, read_targets

__all__ = ['check_batch', 'read_targets']
