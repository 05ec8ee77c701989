"""Everything that is part of the model in training."""

from typing import Any

from mmcds.compat.old_names import moved_name

from .contrastive_supervision import ContrastiveSupervision
from .cpu_ranks import CPUDistributedDataParallel
from .deep_supervision import DeepSupervision
from .losses import ContrastiveLoss, DistillationLoss, EmbeddingQueue, contrastive_loss
from .necks import PassThroughNeck, build_cds_neck, build_dsn_neck, find_supervision
from .projectors import IdentityProjector, MLPProjector, SepConvProjector
from .samplers import DenseSampler, ImageSampler, InstanceSampler, Samples, ViewPair
from .supervision import Supervision
from .teacher import Teacher
from .two_view_forward import TwoViewForward
from .views import DataloaderView, PhotometricView, SingleView

__all__ = [
    'CPUDistributedDataParallel',
    'ContrastiveLoss',
    'ContrastiveSupervision',
    'DataloaderView',
    'DeepSupervision',
    'DenseSampler',
    'DistillationLoss',
    'EmbeddingQueue',
    'IdentityProjector',
    'ImageSampler',
    'InstanceSampler',
    'MLPProjector',
    'PassThroughNeck',
    'PhotometricView',
    'Samples',
    'SepConvProjector',
    'SingleView',
    'Supervision',
    'Teacher',
    'TwoViewForward',
    'ViewPair',
    'build_cds_neck',
    'build_dsn_neck',
    'contrastive_loss',
    'find_supervision',
]


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
