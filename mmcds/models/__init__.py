"""Everything that is part of the model in training."""

from .cpu_ranks import CPUDistributedDataParallel
from .losses import ContrastiveLoss, EmbeddingQueue, contrastive_loss
from .necks import PassThroughNeck, build_cds_neck, find_supervision
from .projectors import IdentityProjector, MLPProjector, SepConvProjector
from .samplers import DenseSampler, ImageSampler, InstanceSampler, Samples, ViewPair
from .supervision import ContrastiveSupervision
from .two_view_forward import TwoViewForward
from .views import DataloaderView, PhotometricView

__all__ = [
    'CPUDistributedDataParallel',
    'ContrastiveLoss',
    'ContrastiveSupervision',
    'DataloaderView',
    'DenseSampler',
    'EmbeddingQueue',
    'IdentityProjector',
    'ImageSampler',
    'InstanceSampler',
    'MLPProjector',
    'PassThroughNeck',
    'PhotometricView',
    'Samples',
    'SepConvProjector',
    'TwoViewForward',
    'ViewPair',
    'build_cds_neck',
    'contrastive_loss',
    'find_supervision',
]
