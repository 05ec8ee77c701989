"""Numbers of a training and of a test, read from the files they leave."""

import json
import pickle
from pathlib import Path
from typing import Any

import torch

#: Parts of a detector with CDS, by the beginning of their names in a state dict.
PARTS = ('backbone.', 'neck.fpn_convs.', 'bbox_head.', 'neck.cds.projectors.')


def losses_of(run: Path, after_epoch: int) -> list[dict[str, float]]:
    """Losses of each logged iteration after an epoch, from the newest log of a work dir."""
    log = max(run.glob('*/vis_data/scalars.json'))
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return [{key: row[key] for key in row if 'loss' in key} for row in rows if row.get('epoch', 0) > after_epoch]


def average_distance(path: Path) -> dict[str, float]:
    """Distance in L2 between the weights of a checkpoint and their moving average, for each part."""
    checkpoint: dict[str, Any] = torch.load(path, map_location='cpu', weights_only=False)
    weights, average = checkpoint['state_dict'], checkpoint['ema_state_dict']
    distances = {}
    for part in PARTS:
        names = [name for name in weights if name.startswith(part)]
        squares = [(weights[name].double() - average[f'module.{name}'].double()).square().sum() for name in names]
        distances[part] = float(torch.stack(squares).sum().sqrt())
    return distances


def detections_of(path: Path) -> list[dict[str, list]]:
    """Boxes, scores and labels of each image in the file that tools/test.py writes."""
    predictions = [each['pred_instances'] for each in pickle.loads(path.read_bytes())]
    return [{key: each[key].tolist() for key in ('bboxes', 'scores', 'labels')} for each in predictions]
