"""Embeds a data set with a trained model: rows of its taps, each with its image and box."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmcds.checkpoints.trained_model import load_trained
from mmcds.datasets.transforms.loading import read_picture

from .probe_checkpoint import show_progress
from .probe_data import ProbeData
from .tap_features import TapFeatures, tap_features


@dataclass
class EmbeddedData:
    """Features of the taps of a model on a data set.

    Attributes:
        found (TapFeatures): Labels, features and embeddings of M rows.
        classes (list[str]): Names of the classes; empty where the data set has none.
        sources (list[tuple[int, tuple[float, ...] | None]]): Of each row, the place of its image in the data set
            and, in a detector, the object's box (x1, y1, x2, y2) in pixels of the file.
        data (ProbeData): The data set.
    """

    found: TapFeatures
    classes: list[str]
    sources: list[tuple[int, tuple[float, ...] | None]]
    data: ProbeData

    def crop(self, row: int) -> np.ndarray:
        """Crop of a row, the object or the full image: (h, w, 3) uint8 RGB.

        Raises:
            FileNotFoundError: If the image's file has gone.
        """
        index, box = self.sources[row]
        info = self.data.dataset.get_data_info(index)
        image = np.asarray(info['img']) if 'img' in info else read_picture(info['img_path'], self.data.pipeline)
        if box is None:
            return image
        height, width = image.shape[:2]
        x1, y1, x2, y2 = (round(v) for v in box)
        x1, y1 = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
        return image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]


def embed_checkpoint(
    cfg: Config,
    checkpoint: str | Path,
    taps: Sequence[str] | None = None,
    split: str = 'test',
    limit: int = 500,
    device: str = 'cpu',
) -> EmbeddedData:
    """Run a trained model over a data set and keep the features of its taps.

    Args:
        cfg (Config): Its config, with CDS or without.
        checkpoint (str | Path): Its weights.
        taps (Sequence[str], optional): As for :func:`~mmcds.analysis.probing.tap_features.tap_features`. Defaults to
            None.
        split (str): 'train' or 'test'; both through the test pipeline. Defaults to 'test'.
        limit (int): Images, >= 0; 0 takes all. Defaults to 500.
        device (str): Where the model runs. Defaults to 'cpu'.

    Returns:
        EmbeddedData: Its rows in the order of the data set.

    Raises:
        FileNotFoundError, ValueError: If the checkpoint is not this model's, the data are not there, or a tap is
            not known.
    """
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    model, projected = load_trained(cfg, checkpoint, device)
    data = ProbeData(cfg, split, limit)
    found = tap_features(model, show_progress(data, len(data), f'{split} images'), taps, projected)
    classes = [str(name) for name in (data.dataset.metainfo or {}).get('classes') or ()]
    return EmbeddedData(found, classes, sources_of(data), data)


def sources_of(data: ProbeData) -> list[tuple[int, tuple[float, ...] | None]]:
    """Image and box of every row that :func:`~mmcds.analysis.probing.tap_features.tap_features` keeps of a data set."""
    found: list[tuple[int, tuple[float, ...] | None]] = []
    for index in data.indices:
        info = data.dataset.get_data_info(index)
        if not data.detects:
            label = np.asarray(info.get('gt_label', -1))
            if label.size == 1 and int(label) >= 0:
                found.append((index, None))
            continue
        for each in info.get('instances', []):
            box = tuple(float(v) for v in each['bbox'])
            if not each.get('ignore_flag', 0) and np.isfinite(box).all() and box[2] > box[0] and box[3] > box[1]:
                found.append((index, box))
    return found
