"""Necks."""

from .cds_neck import build_cds_neck
from .chain import NeckChain, PassThroughNeck
from .dsn_neck import build_dsn_neck
from .stock_neck import find_supervision

__all__ = ['NeckChain', 'PassThroughNeck', 'build_cds_neck', 'build_dsn_neck', 'find_supervision']
