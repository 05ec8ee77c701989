"""The schedule of the small data sets."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.hooks import CheckpointHook

from mmcds.config.load_config import load_config


@pytest.mark.parametrize('config', ['shapes/retinanet_r18_shapes', 'cds/retinanet_r18_cds_bccd'])
def test_the_best_checkpoint_is_that_of_the_mean_over_all_classes(config: str) -> None:
    """By name, also where classwise=True puts a class first; an evaluation without a detection has no metric at all."""
    arguments = dict(load_config(f'configs/{config}.py').default_hooks.checkpoint)
    assert arguments.pop('type') == 'CheckpointHook'
    hook = CheckpointHook(**arguments)
    assert hook.key_indicators == ['coco/bbox_mAP']
    runner: Any = SimpleNamespace(logger=logging.getLogger('test'), epoch=1)
    hook.after_val_epoch(runner, {})
