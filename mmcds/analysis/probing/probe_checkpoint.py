"""From a config and a checkpoint to the probes of its taps."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import track

from mmcds.checkpoints.trained_model import load_trained
from mmcds.utils.extras import need_analysis

from .probe_data import ProbeData
from .probes import Probe, jobs, majority, probe_all
from .tap_features import TapFeatures, tap_features


def probe_checkpoint(
    cfg: Config,
    checkpoint: str | Path,
    taps: Sequence[str] | None = None,
    k: int = 20,
    max_train: int = 5000,
    max_test: int = 5000,
    device: str = 'cpu',
) -> tuple[list[Probe], dict[str, Any]]:
    """Probe what each tap of a trained model has learned.

    Args:
        cfg (Config): Its config, with CDS or without; the data of its training and test loaders are read, both
            through the test pipeline.
        checkpoint (str | Path): Its weights.
        taps (Sequence[str], optional): As for :func:`~mmcds.analysis.probing.tap_features.tap_features`. Defaults to
            None.
        k (int): Nearest neighbours, >= 1. Defaults to 20.
        max_train (int): Training images, >= 0; 0 takes all. Defaults to 5000.
        max_test (int): Test images, the same. Defaults to 5000.
        device (str): Where the model runs. Defaults to 'cpu'.

    Returns:
        tuple[list[Probe], dict]: The probes, and about the data: rows ('train', 'test'), 'classes', those 'skipped',
        and 'majority', the accuracy in percent of always saying the most frequent class.

    Raises:
        FileNotFoundError, ValueError: If the checkpoint is not this model's, the data are not there, or a tap is
            not known.
        ImportError: If scikit-learn is missing.
    """
    need_analysis('sklearn')
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    model, projected = load_trained(cfg, checkpoint, device)
    parts: list[TapFeatures] = []
    for split, limit in (('train', max_train), ('test', max_test)):
        data = ProbeData(cfg, split, limit)
        parts.append(tap_features(model, show_progress(data, len(data), f'{split} features'), taps, projected))
    train, test = parts
    probes = list(show_progress(probe_all(train, test, k), len(jobs(train)), 'probes'))
    about = {
        'train': len(train.labels),
        'test': len(test.labels),
        'classes': len(train.labels.unique()),
        'skipped': train.skipped + test.skipped,
        'majority': majority(train.labels, test.labels),
    }
    return probes, about


def show_progress(steps: Any, total: int, what: str) -> Iterator[Any]:
    """Progress bar, on a terminal only."""
    console = Console(stderr=True)
    yield from track(steps, what, total, console=console, disable=not sys.stderr.isatty())
