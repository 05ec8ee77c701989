"""Losses between embeddings."""

from .contrastive import NO_GROUP, ContrastiveLoss, contrastive_loss
from .distillation import DistillationLoss, distance_loss, soft_cross_entropy
from .embedding_queue import EmbeddingQueue

__all__ = [
    'NO_GROUP',
    'ContrastiveLoss',
    'DistillationLoss',
    'EmbeddingQueue',
    'contrastive_loss',
    'distance_loss',
    'soft_cross_entropy',
]
