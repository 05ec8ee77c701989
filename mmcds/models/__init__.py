"""The parts of the model in training: views, samplers, projectors, losses and necks."""

from typing import Any

from mmcds.compat.old_names import moved_name

from .cpu_ranks import CPUDistributedDataParallel
from .forward import TwoViewForward
from .losses import ContrastiveLoss, DistillationLoss, EmbeddingQueue, contrastive_loss
from .necks import PassThroughNeck, build_cds_neck, build_dsn_neck, find_supervision
from .parts import Loss, Projector, Sampler, View
from .projectors import IdentityProjector, MLPProjector, SepConvProjector
from .samplers import DenseSampler, ImageSampler, InstanceSampler, PixelSampler, Samples, ViewPair
from .supervision import ContrastiveSupervision, DeepSupervision, Supervision, Teacher
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
    'Loss',
    'MLPProjector',
    'PassThroughNeck',
    'PhotometricView',
    'PixelSampler',
    'Projector',
    'Sampler',
    'Samples',
    'SepConvProjector',
    'SingleView',
    'Supervision',
    'Teacher',
    'TwoViewForward',
    'View',
    'ViewPair',
    'build_cds_neck',
    'build_dsn_neck',
    'contrastive_loss',
    'find_supervision',
]


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
