"""Through MMEngine's Runner: the contrast is left behind, another model's checkpoint is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from toys import build, toy_model

from mmcds import add_cds
from mmcds.cli.prepare import without_contrast


def runner_of(cfg: Config, *hooks: dict) -> Runner:
    cfg = without_contrast(cfg)
    cfg.custom_hooks = [*hooks, *cfg.custom_hooks]
    with DefaultScope.overwrite_default_scope('mmdet'):
        return Runner.from_cfg(cfg)


@pytest.mark.parametrize('ema', [False, True])
def test_the_contrast_is_left_behind_without_a_word(
    stock_config: Config, tmp_path: Path, ema: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = add_cds(stock_config)
    torch.save({'state_dict': build(cfg, seed=3).state_dict()}, tmp_path / 'a.pth')
    # MMEngine's own loads the checkpoint, too, and strictly.
    hooks = [dict(type='EMAHook', strict_load=True)] if ema else []
    runner = runner_of(cfg, *hooks)
    runner.call_hook('before_run')
    runner.load_checkpoint(str(tmp_path / 'a.pth'))
    assert 'unexpected' not in capsys.readouterr().out
    model: Any = runner.model
    assert type(model.neck).__name__ == 'FPN'
    assert not hasattr(model.neck, 'cds')
    expected = build(cfg, seed=3).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize('wrapper', [None, torch.nn.DataParallel])
def test_the_model_inside_one_of_test_time_augmentation(
    stock_config: Config, tmp_path: Path, wrapper: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """As ``test.py --tta`` builds it; with the wrapper of several GPUs around it, too."""
    model = build(stock_config, seed=3)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'a.pth')
    stock_config.model = dict(type='DetTTAModel', module=stock_config.model)
    stock_config.custom_hooks = [dict(type='mmcds.StockWeightsHook')]
    with DefaultScope.overwrite_default_scope('mmdet'):
        runner = Runner.from_cfg(stock_config)
    inner: Any = runner.model
    if wrapper is not None:
        runner.model = wrapper(runner.model)
    runner.load_checkpoint(str(tmp_path / 'a.pth'))
    assert 'do not match' not in capsys.readouterr().out
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in inner.module.state_dict().items())
    torch.save({'state_dict': build(toy_model('retinanet')).state_dict()}, tmp_path / 'b.pth')
    with pytest.raises(ValueError, match=r'^the checkpoint does not fit the config: \d+ of \d+ weights such as'):
        runner.load_checkpoint(str(tmp_path / 'b.pth'))


def test_another_model_s_checkpoint(stock_config: Config, tmp_path: Path) -> None:
    torch.save({'state_dict': build(toy_model('retinanet')).state_dict()}, tmp_path / 'a.pth')
    with pytest.raises(
        ValueError,
        match=r'^the checkpoint does not fit the config: \d+ of \d+ weights such as .*; give the config that it',
    ):
        runner_of(stock_config).load_checkpoint(str(tmp_path / 'a.pth'))


def test_what_is_no_parameter_may_lack(stock_config: Config, tmp_path: Path) -> None:
    weights = {k: v for k, v in build(stock_config).state_dict().items() if 'num_batches_tracked' not in k}
    torch.save({'state_dict': {f'module.{k}': v for k, v in weights.items()}}, tmp_path / 'a.pth')
    runner_of(stock_config).load_checkpoint(str(tmp_path / 'a.pth'))


def test_a_file_of_weights_alone(stock_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """MMEngine loads one, so the contrast has to be left behind there, too."""
    cfg = add_cds(stock_config, queue_length=4)
    weights = build(cfg, seed=3).state_dict()
    torch.save(weights, tmp_path / 'bare.pth')
    runner = runner_of(cfg)
    runner.call_hook('before_run')
    runner.load_checkpoint(str(tmp_path / 'bare.pth'))
    assert 'unexpected' not in capsys.readouterr().out
    model: Any = runner.model
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
