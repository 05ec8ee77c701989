"""The neck that carries the contrast."""

from .cds_neck import build_cds_neck, find_supervision
from .chain import NeckChain, PassThroughNeck

__all__ = ['NeckChain', 'PassThroughNeck', 'build_cds_neck', 'find_supervision']
