"""A project of somebody else's gains CDS by three lines and loses it, with mmdet's own tools; the wheel will do."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import mmdet
import pytest
import torch
import yaml
from mmengine.config import Config
from toys import CLASSES, make_toy_data, toy_config

from mmcds.datasets.shapes import make_shapes

ROOT = Path(__file__).resolve().parents[1]
PIP = [sys.executable, '-m', 'pip', '-q']
MMDET_TOOLS = Path(mmdet.__file__).parent / '.mim' / 'tools'

PROJECT = """
from mmdet.registry import DATASETS, HOOKS
from mmdet.datasets import CocoDataset
from mmengine.hooks import Hook


@DATASETS.register_module()
class MyDataset(CocoDataset):
    METAINFO = dict(classes={classes!r})


@HOOKS.register_module()
class MyHook(Hook):
    def after_train(self, runner):
        with open(runner.work_dir + '/my_hook', 'w') as file:
            file.write(str(runner.iter))
"""

THREE_LINES = """
_base_ = './my_detector.py'
custom_imports = dict(imports=['mmcds', 'my_project'], allow_failed_imports=False)
model = dict(neck=dict(_delete_=True, type='mmcds.CDSNeck', neck={{_base_.model.neck}}))
custom_hooks = [*_base_.custom_hooks, dict(type='mmcds.CDSHook')]
"""


def run(*command: str, folder: Path, path: Path) -> str:
    environment = {**os.environ, 'PYTHONPATH': str(path), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def host_tool(name: str) -> list[str]:
    """mmdet's own tool; where torchvision was built for another torch, mmcds has to come before it."""
    path = str(MMDET_TOOLS / name)
    works = subprocess.run([sys.executable, '-c', 'import torchvision'], capture_output=True).returncode == 0
    script = f'import mmcds, runpy, sys; sys.argv[0] = {path!r}; runpy.run_path({path!r}, run_name="__main__")'
    return [path] if works else ['-c', script]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package of its own, a config of its own, nothing of mmcds."""
    folder = tmp_path / 'project'
    (folder / 'my_project').mkdir(parents=True)
    (folder / 'my_project/__init__.py').write_text(PROJECT.format(classes=CLASSES))
    (folder / 'data').mkdir()
    cfg = toy_config(make_toy_data(folder / 'data'), folder / 'unused')
    dataset = cfg.train_dataloader.dataset
    dataset.pop('metainfo')
    cfg.pop('work_dir')
    dataset.type = 'MyDataset'
    test = dict(cfg.train_dataloader.to_dict(), sampler=dict(type='DefaultSampler', shuffle=False))
    test['dataset'] = dict(test['dataset'], test_mode=True)
    test['dataset']['pipeline'] = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(64, 64), keep_ratio=True),
        dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
    ]
    cfg.merge_from_dict(
        dict(
            custom_imports=dict(imports=['my_project'], allow_failed_imports=False),
            custom_hooks=[dict(type='MyHook')],
            test_dataloader=test,
            test_evaluator=dict(type='CocoMetric', ann_file=dataset.data_root + '/train.json', metric='bbox'),
            test_cfg=dict(type='TestLoop'),
            train_cfg=dict(max_epochs=1),
            visualizer=dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]),
        )
    )
    cfg.log_level = 'INFO'
    cfg.dump(folder / 'my_detector.py')
    (folder / 'my_detector_cds.py').write_text(THREE_LINES)
    return folder


@pytest.mark.slow
def test_three_lines(project: Path) -> None:
    run(*host_tool('train.py'), 'my_detector_cds.py', '--work-dir', 'work', folder=project, path=project)
    (log,) = (project / 'work').glob('*/vis_data/scalars.json')
    steps = [record for record in map(json.loads, log.read_text().splitlines()) if 'loss' in record]
    assert steps
    assert all(record['loss_cds_backbone3'] > 0 for record in steps)
    assert (project / 'work/my_hook').read_text() == '3'
    # Back without it: the stock config takes the checkpoint and says the same as the one with CDS.
    said = []
    for config in ('my_detector.py', 'my_detector_cds.py'):
        command = [*host_tool('test.py'), config, 'work/epoch_1.pth', '--work-dir', f'test/{config}']
        run(*command, '--out', f'{config}.pkl', folder=project, path=project)
        (found,) = (project / 'test' / config).glob('*/*.json')
        said.append({k: v for k, v in json.loads(found.read_text()).items() if 'time' not in k})
    assert said[0] == said[1]
    assert 'coco/bbox_mAP' in said[0]
    weights = torch.load(project / 'work/epoch_1.pth', weights_only=False, map_location='cpu')['state_dict']
    assert any(name.startswith('neck.cds.') for name in weights)
    run(str(ROOT / 'tools/export.py'), 'work/epoch_1.pth', '--out', 'stock.pth', folder=project, path=project)
    exported = torch.load(project / 'stock.pth', weights_only=True)['state_dict']
    assert list(exported) == [name for name in weights if not name.startswith('neck.cds.')]


def test_the_documentation_shows_these_lines() -> None:
    text = (ROOT / 'docs/existing_projects.md').read_text()
    assert THREE_LINES.strip() in text


@pytest.fixture(scope='module')
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into a folder of its own."""
    site = tmp_path_factory.mktemp('site')
    subprocess.run([*PIP, 'install', '--no-deps', '--no-index', '--target', str(site), str(wheel)], check=True)
    return site


@pytest.mark.slow
def test_mim_trains_from_any_folder(site: Path, tmp_path: Path) -> None:
    """The command of docs/existing_projects.md with OpenMMLab's own mim, which lives in a folder of its own."""
    mim, folder = tmp_path / 'mim', tmp_path / 'empty'
    folder.mkdir()
    command = [*PIP, 'install', '--target', str(mim), 'openmim==0.3.9', 'setuptools<81']  # it imports pkg_resources
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f'openmim cannot be installed: {done.stderr.strip().splitlines()[-1]}')
    make_shapes(folder / 'shapes', train=8, val=4)
    options = ['data_root=shapes/', 'train_cfg.max_epochs=1', 'default_hooks.checkpoint.save_best=None']
    words = ['mmcds', 'cds/faster_rcnn_r18_cds_shapes.py', '--work-dir', 'work', '--cfg-options', *options]
    # The wheel first: the environment of the tests has this repository, too. No GPU is asked for.
    script = f'import sys; sys.path.append({str(mim)!r}); from mim.cli import cli; cli()'
    run('-c', script, 'train', *words, '--gpus', '0', folder=folder, path=site)
    assert (folder / 'work/epoch_1.pth').is_file()


@pytest.mark.slow
def test_the_wheel_is_enough(site: Path, tmp_path: Path) -> None:
    """Used from an empty folder: configs by name, tools, metafiles."""
    folder = tmp_path / 'empty'
    folder.mkdir()
    (folder / 'mine.py').write_text(
        "_base_ = 'mmcds::cds/faster_rcnn_r50_cds.py'\nmodel = dict(neck=dict(loss_weight=0.3))"
    )
    script = (
        'import mmcds; from mmcds import add_cds; from mmengine.config import Config; '
        'cfg = Config.fromfile("mine.py"); print(mmcds.__file__, cfg.model.neck.type, cfg.model.neck.loss_weight)'
    )
    assert run('-c', script, folder=folder, path=site).split()[-3:] == [
        str(site / 'mmcds/__init__.py'), 'mmcds.CDSNeck', '0.3',
    ]  # fmt: skip
    (distribution,) = distributions(path=[str(site)])
    # No mm package: pip would bring one stack's in beside the other's.
    required = [each for each in distribution.requires or () if 'extra ==' not in each]
    assert {re.split(r'[<>=]', each)[0] for each in required} == {'torch', 'kornia'}
    inside = site / 'mmcds/.mim'
    index = yaml.safe_load((inside / 'model-index.yml').read_text())
    models = [each for path in index['Import'] for each in yaml.safe_load((inside / path).read_text())['Models']]
    assert len({each['Name'] for each in models}) == len(models) > 90
    assert [each['Config'] for each in models if not (inside / each['Config']).is_file()] == []
    # What trains, tests and exports is run from the wheel in tests/smoke.
    assert 'usage:' in run(str(inside / 'tools/report.py'), '--help', folder=folder, path=site)
    assert not any(path.suffix in ('.pth', '.png', '.npz') for path in site.rglob('*'))


@pytest.mark.slow
def test_metafiles_are_those_of_the_configs() -> None:
    from benchmarks.metafiles import metafiles

    found = metafiles()
    for path, content in found.items():
        assert yaml.safe_load((ROOT / path).read_text()) == content
    assert yaml.safe_load((ROOT / 'model-index.yml').read_text()) == {'Import': list(found)}


def test_a_config_built_in_python(tmp_path: Path) -> None:
    from mmcds import add_cds, remove_cds

    cfg = Config(toy_config(tmp_path, tmp_path / 'work').to_dict())
    with_cds = add_cds(cfg, taps=['backbone.2'])
    assert with_cds.model.neck.type == 'mmcds.CDSNeck'
    assert remove_cds(with_cds).to_dict() == cfg.to_dict()
