"""Every shipped config is loaded and built, on either stack."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmcds.apis import check_cds, has_cds, remove_cds
from mmcds.config.from_options import set_teacher_checkpoint
from mmcds.config.load_config import load_config
from mmcds.engine.hooks import CDSHook
from mmcds.models import PhotometricView, find_supervision

ROOT = Path(__file__).resolve().parents[2]
# Classifiers are built, and take a step, in tests/configs: mmpretrain's cannot be built on 'meta'.
CONFIGS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / 'configs').rglob('*.py')
    if not {'_base_', 'classification'} & set(path.parts)
)


def without_downloads(value: Any) -> Any:
    """Initial weights are not needed to build, and there is no network where this runs."""
    if isinstance(value, dict):
        for key in value:
            value[key] = None if key in ('init_cfg', 'pretrained') else without_downloads(value[key])
    elif isinstance(value, list):
        for each in value:
            without_downloads(each)
    return value


@pytest.fixture(scope='module')
def device() -> str:
    """'meta', where weights take neither time nor memory; 'cpu' where kornia is not built on it."""
    try:
        with torch.device('meta'):
            PhotometricView()
    except RuntimeError:
        return 'cpu'
    return 'meta'


@pytest.fixture
def scope() -> Iterator[None]:
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def test_there_are_configs() -> None:
    assert len(CONFIGS) >= 15


@pytest.mark.parametrize('path', CONFIGS)
def test_builds(path: str, device: str, scope: None) -> None:
    if 'yolov8' in path:
        # It inherits from mmyolo's, so it cannot be loaded without.
        pytest.importorskip('mmyolo')
    cfg = load_config(str(ROOT / path))
    assert isinstance(cfg, Config)
    assert cfg.train_cfg
    if cfg.get('default_scope') in ('mmrotate', 'mmseg'):
        pytest.importorskip(cfg.default_scope)
    if any(hook['type'] == 'mmcds.DistillHook' for hook in cfg.get('custom_hooks') or []):
        # All else is right: it is the teacher's file that is not there.
        set_teacher_checkpoint(cfg, __file__.replace('.py', '.pth'))
        with pytest.raises(FileNotFoundError, match=r'^checkpoint=.*does not exist'):
            check_cds(cfg)
    else:
        check_cds(cfg)
    # Taken now: DINO changes its config while it is built.
    stock_cfg = remove_cds(cfg)
    with torch.device(device):
        model = MODELS.build(without_downloads(cfg.model))
    names = set(model.state_dict())
    if not has_cds(cfg):
        assert not any('.cds.' in name for name in names)
        return
    assert find_supervision(model).taps
    hooks = [hook for hook in cfg.custom_hooks if hook['type'] == 'mmcds.CDSHook']
    CDSHook(**{key: value for key, value in hooks[0].items() if key != 'type'})
    with torch.device(device):
        stock = MODELS.build(without_downloads(stock_cfg.model))
    assert set(stock.state_dict()) == {name for name in names if not name.startswith('neck.cds.')}
