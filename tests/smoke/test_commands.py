"""The commands of the installed wheel, in another folder: train, kill, resume, test, export, two ranks, pictures."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mmdet
import pytest
import torch
from mmengine.fileio import load
from preloaded import Preloaded

from mmcds.checkpoints.files import latest_checkpoint

CONFIG = 'mmcds::cds/faster_rcnn_r18_cds_shapes.py'
STOCK = 'mmcds::shapes/faster_rcnn_r18_shapes.py'

Run = Callable[..., str]


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
def tools(installed: Path) -> Path:
    """The folder of mmcds' tools in the installed wheel."""
    script = 'import mmcds; print(mmcds.__path__[0])'
    done = subprocess.run(
        [str(installed), '-c', script], cwd=installed.parent, capture_output=True, text=True, check=True
    )
    package = Path(done.stdout.split()[-1])
    assert installed.parents[1] in package.parents
    return package / '.mim/tools'


@pytest.fixture(scope='module')
def server(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    """Commands of the installed wheel, in a folder without mmcds."""
    env = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    env |= {'OMP_NUM_THREADS': '1', 'PYTHON': str(installed)}
    with Preloaded(str(installed), tmp_path_factory.mktemp('elsewhere'), env) as server:
        yield server


@pytest.fixture(scope='module')
def run(server: Preloaded, installed: Path, tools: Path) -> Run:
    """Run a tool of the wheel to its end; returns what it printed.

    A tool's first call starts an interpreter of its own, further ones come from the server.
    """
    known: set[str] = set()

    def run(tool: str, *arguments: str) -> str:
        command = [str(tools / tool), *arguments]
        if tool in known:
            done = server.run(*command, timeout=400)
        else:
            program = 'bash' if tool.endswith('.sh') else str(installed)
            done = subprocess.run(
                [program, *command], cwd=server.cwd, env=server.env, capture_output=True, text=True, timeout=400,
                stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
            known.add(tool)
        output = done.stdout + done.stderr
        assert done.returncode == 0, output[-3000:]
        return output

    return run


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mmcds.datasets.shapes import make_shapes

    return make_shapes(tmp_path_factory.mktemp('data') / 'shapes', train=4, val=2)


@pytest.fixture(scope='module')
def work(run: Run, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp('work')
    log = run('train.py', CONFIG, '--work-dir', str(work), *options(data, 1))
    assert re.search(r'eta: .*loss_cds_backbone0: .*loss_cds_backbone3: ', log)
    return work


def test_killed_and_resumed(run: Run, server: Preloaded, tools: Path, work: Path, data: Path) -> None:
    process = server.start(str(tools / 'train.py'), CONFIG, '--work-dir', str(work), '--resume', *options(data, 99))
    end = time.monotonic() + 200
    while not (work / 'epoch_2.pth').is_file() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.1)
    process.kill()
    assert process.wait() == -signal.SIGKILL, process.errors.read_text()[-3000:]
    last = int(re.findall(r'epoch_(\d+)', str(latest_checkpoint(work)))[-1])
    log = run('train.py', CONFIG, '--work-dir', str(work), '--resume', *options(data, last + 1))
    assert set(re.findall(r'Epoch\(train\)\s+\[(\d+)\]', log)) == {str(last + 1)}
    assert (work / f'epoch_{last + 1}.pth').is_file()


def test_test_with_the_cds_and_the_stock_config(run: Run, work: Path, data: Path, tmp_path: Path) -> None:
    """The same checkpoint gives the same AP either way."""
    found = []
    for config in (CONFIG, STOCK):
        log = run(
            'test.py', config, str(work / 'epoch_1.pth'), '--work-dir', str(tmp_path),
            '--out', str(tmp_path / 'out.pkl'), '--cfg-options', f'data_root={data}',
        )  # fmt: skip
        found.append(re.findall(r'Average Precision .*', log))
        assert (tmp_path / 'out.pkl').is_file()
    assert len(found[0]) == 6
    assert found[0] == found[1]


def test_tta_equals_that_of_mmdet_s_own_tool(run: Run, server: Preloaded, work: Path, tmp_path: Path) -> None:
    """With mmdet's default augmentation, on the config that training wrote down."""
    own = str(Path(mmdet.__file__).parent / '.mim/tools/test.py')
    arguments = [str(work / Path(CONFIG).name), str(work / 'epoch_1.pth'), '--tta', '--work-dir', str(tmp_path)]
    run('test.py', *arguments, '--out', str(tmp_path / 'ours.pkl'))
    done = server.run(own, *arguments, '--out', str(tmp_path / 'theirs.pkl'))
    assert done.returncode == 0, done.stderr[-3000:]
    ours, theirs = (load(tmp_path / f'{name}.pkl') for name in ('ours', 'theirs'))
    assert len(ours) == len(theirs) == 2
    for mine, other in zip(ours, theirs, strict=True):
        assert len(mine['pred_instances']['scores'])
        for key in ('bboxes', 'scores', 'labels'):
            assert torch.equal(mine['pred_instances'][key], other['pred_instances'][key])


def test_export(run: Run, work: Path, tmp_path: Path) -> None:
    out = tmp_path / 'stock.pth'
    log = run('export.py', str(work / 'epoch_1.pth'), '--out', str(out), '--config', CONFIG)
    assert 'equal to the last bit' in log
    content = torch.load(out, weights_only=True)
    assert not any('cds' in key for key in content['state_dict'])


def test_export_of_a_backbone(run: Run, work: Path, tmp_path: Path) -> None:
    out = tmp_path / 'backbone.pth'
    log = run('export.py', str(work / 'epoch_1.pth'), '--out', str(out), '--config', CONFIG, '--backbone')
    assert 'stock ResNet' in log
    assert 'conv1.weight' in torch.load(out, weights_only=True)['state_dict']


def test_two_ranks(run: Run, data: Path, tmp_path: Path) -> None:
    log = run(
        'dist_train.sh', CONFIG, '2', '--work-dir', str(tmp_path), *options(data, 1), 'train_dataloader.batch_size=1'
    )
    assert 'GPU number: 2' in log
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_a_stock_config_by_its_name(run: Run, data: Path, tmp_path: Path) -> None:
    log = run(
        'train.py', 'mmcds::shapes/retinanet_r18_shapes.py', '--cds',
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
def test_analysis(
    run: Run, work: Path, data: Path, tmp_path: Path, tool: str, arguments: list[str], pictures: list[str]
) -> None:
    """Each tool on a checkpoint of one epoch: it ends well, and what it names is there."""
    places = {'work': work, 'data': data, 'checkpoint': work / 'epoch_1.pth', 'out': tmp_path}
    command = [each.format(**places) for each in arguments]
    if tool not in ('curves.py', '../report.py'):
        command += ['--cfg-options', f'data_root={data}']
    log = run(f'analysis/{tool}', *command)
    written = [line.partition(':')[0].strip() for line in log.splitlines() if line.startswith(str(tmp_path))]
    assert written
    assert all(Path(path).stat().st_size > 100 for path in written)
    assert {Path(path).name for path in written} >= set(pictures)
