"""Matches detections to objects as COCO's evaluation does."""

import numpy as np
import torch
from mmdet.evaluation import bbox_overlaps
from mmengine.structures import InstanceData


def match_detections(found: InstanceData, truth: InstanceData, iou: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Assign detections to objects as COCO's evaluation does.

    In the order of their scores, each detection takes the object of its class that it overlaps most, of
    those not yet taken and overlapping by at least ``iou``.

    Args:
        found (InstanceData): ``bboxes`` ``(P, 4)``, ``labels``, ``scores``.
        truth (InstanceData): ``bboxes`` ``(G, 4)``, ``labels``.
        iou (float): Smallest intersection over union, in (0, 1]. Defaults to 0.5.

    Returns:
        tuple[np.ndarray, np.ndarray]: Which detections are right ``(P,)`` and which objects were found
            ``(G,)``, both bool.
    """
    assigned = assign_detections(found, truth, iou)
    taken = np.zeros(len(truth.bboxes), dtype=bool)
    taken[assigned[assigned >= 0]] = True
    return assigned >= 0, taken


def assign_detections(found: InstanceData, truth: InstanceData, iou: float = 0.5) -> np.ndarray:
    """Index of the object matched to each detection by :func:`match_detections`: ``(P,)`` int64, -1 for none."""
    assigned = np.full(len(found.bboxes), -1)
    taken = np.zeros(len(truth.bboxes), dtype=bool)
    if not len(assigned) or not len(taken):
        return assigned
    overlaps = bbox_overlaps(found.bboxes.numpy(), truth.bboxes.numpy())
    same_class = found.labels.numpy()[:, None] == truth.labels.numpy()[None]
    for i in np.argsort(-found.scores.numpy(), kind='stable'):
        candidates = np.where(same_class[i] & ~taken, overlaps[i], -1.0)
        best = int(candidates.argmax())
        if candidates[best] >= iou:
            assigned[i] = best
            taken[best] = True
    return assigned


def without_ignored(found: InstanceData, truth: InstanceData, ignored: InstanceData, iou: float = 0.5) -> InstanceData:
    """Leave out the detections that COCO's evaluation ignores.

    They match no object, and lie with at least ``iou`` of their area on an ignored box, such as a crowd, that has their
    class or none (-1, as CrowdHuman's).

    Args:
        found (InstanceData): ``bboxes`` ``(P, 4)``, ``labels``, ``scores``.
        truth (InstanceData): ``bboxes`` ``(G, 4)``, ``labels`` of the objects.
        ignored (InstanceData): The same of the ignored boxes.
        iou (float): As for :func:`match_detections`. Defaults to 0.5.
    """
    if not len(ignored.bboxes) or not len(found.bboxes):
        return found
    covered = bbox_overlaps(found.bboxes.numpy(), ignored.bboxes.numpy(), mode='iof')
    labels = ignored.labels.numpy()[None]
    same_class = (found.labels.numpy()[:, None] == labels) | (labels < 0)
    left = (assign_detections(found, truth, iou) >= 0) | ~((covered >= iou) & same_class).any(1)
    return found[torch.from_numpy(left)]
