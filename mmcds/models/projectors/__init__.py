"""Projectors: map a tap's features to embeddings, in training only.

A projector is an ``nn.Module`` built as ``Projector(in_channels=..., steps=..., **cfg)`` that maps
(M, in_channels, h, w) to (M, out_channels) and has the attribute ``out_channels``.
"""

from .identity import IdentityProjector
from .mlp import MLPProjector
from .sepconv import SepConv, SepConvProjector

__all__ = ['IdentityProjector', 'MLPProjector', 'SepConv', 'SepConvProjector']
