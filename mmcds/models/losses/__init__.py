"""Losses between embeddings."""

from .contrastive import NO_GROUP, ContrastiveLoss, contrastive_loss
from .embedding_queue import EmbeddingQueue

__all__ = ['NO_GROUP', 'ContrastiveLoss', 'EmbeddingQueue', 'contrastive_loss']
