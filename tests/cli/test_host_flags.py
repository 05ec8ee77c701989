"""The flags do what those of mmdet's and mmpretrain's own tools do."""

import runpy
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmcds.cli.host_flags import build_runner, set_test_flags, set_train_flags
from mmcds.cli.prepare import host_of
from mmcds.config.load_config import load_config, package_configs

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', 'mmpretrain::resnet/resnet18_8xb16_cifar10.py')
#: Flags that all of them have, and those of mmpretrain alone.
TRAIN: tuple[list[str], ...] = (
    [],
    ['--amp'],
    ['--auto-scale-lr'],
    ['--resume', 'a.pth'],
    ['--launcher', 'none', '--amp'],
)
TRAIN_MMPRETRAIN: tuple[list[str], ...] = (['--no-validate'], ['--no-pin-memory', '--no-persistent-workers'])
TEST: tuple[list[str], ...] = ([], ['--show', '--wait-time', '1.5'], ['--show-dir', 'pictures'], ['--tta'])
TEST_MMPRETRAIN: tuple[list[str], ...] = (['--amp', '--no-pin-memory'], ['--show-dir', 'pictures', '--interval', '3'])
CASES = [
    *((config, name, flags) for config in CONFIGS for name, all_flags in (('train', TRAIN), ('test', TEST))
      for flags in all_flags),
    *((CONFIGS[1], 'train', flags) for flags in TRAIN_MMPRETRAIN),
    *((CONFIGS[1], 'test', flags) for flags in TEST_MMPRETRAIN),
]  # fmt: skip


def parsed(name: str) -> Namespace:
    """The command line in ``sys.argv``, read by our tool."""
    return runpy.run_path(str(ROOT / f'tools/{name}.py'))['parse_args']()


@pytest.fixture
def of_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The config that a package's own tool builds its runner from."""

    def run(cfg: Config, name: str, arguments: list[str]) -> Config:
        built: list[Config] = []

        def from_cfg(cfg: Config) -> None:
            built.append(cfg)
            sys.exit()

        cfg.dump(tmp_path / 'config.py')
        monkeypatch.setattr(Runner, 'from_cfg', from_cfg)
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', str(tmp_path / 'config.py'), *arguments])
        with pytest.raises(SystemExit):
            runpy.run_path(str(package_configs(host_of(cfg)).parent / f'tools/{name}.py'), run_name='__main__')
        return built[0]

    return run


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(('config', 'name', 'flags'), CASES)
def test_the_config_is_that_of_the_host_s_own_tool(
    config: str, name: str, flags: list[str], of_host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [*(['weights.pth'] if name == 'test' else []), '--work-dir', 'work', *flags]
    cfg = load_config(config)
    cfg.auto_scale_lr = dict(base_batch_size=16, enable=False)
    cfg.optim_wrapper.loss_scale = 512.0
    cfg.work_dir = 'work'
    expected = of_host(cfg.copy(), name, arguments)
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', config, *arguments])
    if name == 'train':
        set_train_flags(cfg, parsed('train'), parsed('train').resume)
    else:
        set_test_flags(cfg, parsed('test'))
    found, wanted = ({**each.to_dict(), 'cfg_name': None} for each in (cfg, expected))
    for unequal in sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)):
        assert found.get(unequal) == wanted.get(unequal), unequal


def test_a_runner_type_of_the_config_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace()
    monkeypatch.setattr('mmcds.cli.host_flags.RUNNERS', SimpleNamespace(build=lambda cfg: made))
    assert build_runner(Config({'runner_type': 'Mine'})) is made


@pytest.mark.parametrize('without', ['the hook', 'hooks'])
def test_pictures_need_the_hook_that_draws(without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = load_config(CONFIGS[0])
    if without == 'hooks':
        cfg.default_hooks = None
    else:
        del cfg.default_hooks['visualization']
    monkeypatch.setattr(sys, 'argv', ['test.py', CONFIGS[0], 'weights.pth', '--show-dir', 'pictures'])
    with pytest.raises(ValueError, match=r'^--show and --show-dir need .* of mmdet do$'):
        set_test_flags(cfg, parsed('test'))


@pytest.mark.parametrize(
    ('name', 'parts'),
    [
        ('train', ['train_dataloader', 'train_cfg', 'optim_wrapper']),
        ('test', ['test_dataloader', 'test_cfg', 'test_evaluator']),
    ],
)
def test_a_config_without_the_loop_is_named(name: str, parts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', CONFIGS[0], *(['weights.pth'] if name == 'test' else [])])
    args = parsed(name)
    for missing in (parts[-1:], parts):
        cfg = load_config(CONFIGS[0])
        for part in missing:
            cfg[part] = None
        with pytest.raises(
            ValueError, match=rf'^{missing[0]} is not set in the config; give one with {", ".join(parts)}$'
        ):
            set_train_flags(cfg, args, None) if name == 'train' else set_test_flags(cfg, args)
