"""The commands on either stack: train, save, resume, test, export, and two ranks on the CPU."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.fileio import load

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'configs/cds/faster_rcnn_r18_cds_shapes.py'
STOCK = 'configs/shapes/faster_rcnn_r18_shapes.py'


def run(*command: str) -> str:
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def options(data: Path, epochs: int) -> list[str]:
    return [
        '--cfg-options',
        f'data_root={data}',
        f'train_cfg.max_epochs={epochs}',
        'train_dataloader.batch_size=2',
        'default_hooks.logger.interval=1',
        'default_hooks.checkpoint.max_keep_ckpts=-1',
    ]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mmcds.datasets.shapes import make_shapes

    return make_shapes(tmp_path_factory.mktemp('data') / 'shapes', train=4, val=2)


@pytest.fixture(scope='module')
def work(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp('work')
    log = run(sys.executable, 'tools/train.py', CONFIG, '--work-dir', str(work), *options(data, 1))
    assert re.search(r'eta: .*loss_cds_backbone0: .*loss_cds_backbone3: ', log)
    return work


def test_resume(work: Path, data: Path) -> None:
    log = run(sys.executable, 'tools/train.py', CONFIG, '--work-dir', str(work), '--resume', *options(data, 2))
    assert 'Epoch(train) [2][1/2]' in log.replace('  ', ' ')
    assert 'Epoch(train) [1]' not in log.replace('  ', ' ')
    assert (work / 'epoch_2.pth').is_file()


def test_test_with_the_cds_and_the_stock_config(work: Path, data: Path, tmp_path: Path) -> None:
    """The same checkpoint gives the same AP either way."""
    found = []
    for config in (CONFIG, STOCK):
        log = run(
            sys.executable, 'tools/test.py', config, str(work / 'epoch_1.pth'), '--work-dir', str(tmp_path),
            '--out', str(tmp_path / 'out.pkl'), '--cfg-options', f'data_root={data}',
        )  # fmt: skip
        found.append(re.findall(r'Average Precision .*', log))
        assert (tmp_path / 'out.pkl').is_file()
    assert len(found[0]) == 6
    assert found[0] == found[1]


def test_tta_equals_that_of_mmdet_s_own_tool(work: Path, tmp_path: Path) -> None:
    """With mmdet's default augmentation, on the config that training wrote down."""
    own = (
        'import runpy, sys, mmcds\nfrom importlib.util import find_spec\n'
        "path = find_spec('mmdet').submodule_search_locations[0] + '/.mim/tools/test.py'\n"
        "sys.argv[0] = path\nrunpy.run_path(path, run_name='__main__')"
    )
    arguments = [str(work / Path(CONFIG).name), str(work / 'epoch_1.pth'), '--tta', '--work-dir', str(tmp_path)]
    run(sys.executable, 'tools/test.py', *arguments, '--out', str(tmp_path / 'ours.pkl'))
    run(sys.executable, '-c', own, *arguments, '--out', str(tmp_path / 'theirs.pkl'))
    ours, theirs = (load(tmp_path / f'{name}.pkl') for name in ('ours', 'theirs'))
    assert len(ours) == len(theirs) == 2
    for mine, other in zip(ours, theirs, strict=True):
        assert len(mine['pred_instances']['scores'])
        for key in ('bboxes', 'scores', 'labels'):
            assert torch.equal(mine['pred_instances'][key], other['pred_instances'][key])


def test_export(work: Path, tmp_path: Path) -> None:
    out = tmp_path / 'stock.pth'
    log = run(sys.executable, 'tools/export.py', str(work / 'epoch_1.pth'), '--out', str(out), '--config', CONFIG)
    assert 'equal to the last bit' in log
    content = torch.load(out, weights_only=True)
    assert not any('cds' in key for key in content['state_dict'])


def test_export_of_a_backbone(work: Path, tmp_path: Path) -> None:
    out = tmp_path / 'backbone.pth'
    checkpoint = str(work / 'epoch_1.pth')
    log = run(sys.executable, 'tools/export.py', checkpoint, '--out', str(out), '--config', CONFIG, '--backbone')
    assert 'stock ResNet' in log
    assert 'conv1.weight' in torch.load(out, weights_only=True)['state_dict']


def test_two_ranks(data: Path, tmp_path: Path) -> None:
    log = run(
        'bash', 'tools/dist_train.sh', CONFIG, '2', '--work-dir', str(tmp_path), *options(data, 1),
        'train_dataloader.batch_size=1',
    )  # fmt: skip
    assert 'GPU number: 2' in log
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_a_stock_config_by_its_name(data: Path, tmp_path: Path) -> None:
    log = run(
        sys.executable, 'tools/train.py', 'configs/shapes/retinanet_r18_shapes.py', '--cds',
        '--work-dir', str(tmp_path), *options(data, 1), 'model.neck.queue_length=16',
    )  # fmt: skip
    assert 'loss_cds_backbone0' in log
    state = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    assert state['neck.cds.queues.backbone0.embeddings'].shape[0] == 16


@pytest.mark.parametrize(
    ('tool', 'arguments', 'pictures'),
    [
        ('curves.py', ['{work}', '--out', '{out}/curves.png'], ['curves.png']),
        ('views.py', [CONFIG, '--num', '2', '--out', '{out}/views.png'], ['views.png']),
        (
            'embeddings.py',
            [CONFIG, '{checkpoint}', '--against', STOCK, '{checkpoint}', '--split', 'train', '--method', 'pca',
             '--crops', '3', '--out', '{out}'],
            ['maps.png', 'crops.png'],
        ),
        (
            'features.py',
            [CONFIG, '{checkpoint}', '{data}/val/00000.jpg', '--against', STOCK, '{checkpoint}', '--similar-to', '9',
             '9', '--channels', '2', '--taps', 'backbone.1', 'neck.0', '--out', '{out}'],
            ['00000.png', '00000_backbone.1.png', '00000_neck.0.png'],
        ),
        ('detections.py', [CONFIG, '{checkpoint}', '--out', '{out}', '--num', '2'], ['detections.png']),
        (
            'detections.py',
            [CONFIG, '{checkpoint}', '--against', STOCK, '{checkpoint}', '--out', '{out}', '--num', '2'],
            ['changes.png'],
        ),
        ('probe.py', [CONFIG, '{checkpoint}', '--neighbours', '2', '--out', '{out}/probe.json'], []),
        ('../report.py', ['{work}', '{work}', '--names', 'a', 'b', '--out', '{out}/report.html'], []),
    ],
)  # fmt: skip
def test_analysis(work: Path, data: Path, tmp_path: Path, tool: str, arguments: list[str], pictures: list[str]) -> None:
    """Each tool on a checkpoint of one epoch: it ends well, and what it names is there."""
    places = {'work': work, 'data': data, 'checkpoint': work / 'epoch_1.pth', 'out': tmp_path}
    command = [each.format(**places) for each in arguments]
    if tool not in ('curves.py', '../report.py'):
        command += ['--cfg-options', f'data_root={data}']
    log = run(sys.executable, f'tools/analysis/{tool}', *command)
    written = [line.partition(':')[0].strip() for line in log.splitlines() if line.startswith(str(tmp_path))]
    assert written
    assert all(Path(path).stat().st_size > 100 for path in written)
    assert {Path(path).name for path in written} >= set(pictures)
