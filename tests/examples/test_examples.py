"""The examples run as their readers run them, with a small budget, and leave what they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import nbformat
import pytest
import torch
from nbclient import NotebookClient
from nbformat import NotebookNode

from mmcds.analysis.runs.run_log import read_run
from mmcds.checkpoints.trained_model import load_trained
from mmcds.config.load_config import load_config
from mmcds.datasets.shapes import make_shapes

# Fewer, and no score is above the least one that is a prediction.
EPOCHS = 5
EXAMPLES = Path(__file__).resolve().parents[2] / 'examples'
TAPS = [f'loss_cds_backbone{stage}' for stage in range(4)]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six batches of training images and one of validation images, in the layout that the examples make."""
    return make_shapes(tmp_path_factory.mktemp('data') / 'toy', train=24, val=4, size=128)


def run(name: str, folder: Path, *arguments: str) -> str:
    """Run an example in a folder of its own, with this repository's mmcds; what it prints."""
    environment = {**os.environ, 'PYTHONPATH': str(EXAMPLES.parent), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, str(EXAMPLES / name), *arguments, '--work-dir', 'work']
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def losses(work_dir: Path) -> list[float]:
    log = read_run(work_dir)
    found = [value for tap in TAPS for value in log.series(tap)[1].tolist()]
    assert len(found) >= len(TAPS)
    return found


@pytest.mark.slow
def test_a_detector_is_trained_with_cds_and_predicts_without(data: Path, tmp_path: Path) -> None:
    said = run('add_cds_to_your_detector.py', tmp_path, '--epochs', str(EPOCHS), '--data', str(data))
    assert 'equal to the model with CDS: True' in said
    assert len(re.findall(r'^(?:circle|square|triangle|cross) +0\.\d\d  \[', said, re.MULTILINE)) == 3
    assert min(losses(tmp_path / 'work')) > 0

    # Against the model of the config that ran, which is not asked by the example.
    trained = torch.load(tmp_path / f'work/epoch_{EPOCHS}.pth', weights_only=False)['state_dict']
    exported = torch.load(tmp_path / 'work/stock.pth', weights_only=True)['state_dict']
    (config,) = (tmp_path / 'work').glob('*.py')
    model, _ = load_trained(load_config(str(config)), tmp_path / f'work/epoch_{EPOCHS}.pth')
    assert list(exported) == [key for key in model.state_dict() if not key.startswith('neck.cds.')]
    assert any(key.startswith('neck.cds.') for key in trained)
    assert all(torch.equal(trained[key], value) for key, value in exported.items())


@pytest.mark.slow
def test_the_comparison_prints_both_and_draws_them(data: Path, tmp_path: Path) -> None:
    said = run('compare_with_stock.py', tmp_path, '--epochs', str(EPOCHS), '--seeds', '3', '--data', str(data))
    assert 'proves nothing' in said
    table = [[cell.strip() for cell in line.split('|')[1:-1]] for line in said.splitlines() if line.startswith('| ')]
    assert [row[:3] for row in table[2:]] == [[name, '3', str(EPOCHS)] for name in ('stock_seed3', 'cds_seed3')]
    assert {'AP', 'AP50', 's / iteration'} < set(table[0])
    assert min(losses(tmp_path / 'work/cds_seed3')) > 0
    stock = read_run(tmp_path / 'work/stock_seed3')
    assert not any('cds' in key for key in stock.keys())  # noqa: SIM118, a RunLog is no dict
    picture = matplotlib.image.imread(tmp_path / 'work/curves.png')
    assert picture.shape[1] > 800
    assert 0.5 < (picture[..., :3] == 1).all(2).mean() < 0.99


@pytest.mark.slow
def test_a_sampler_of_ones_own_trains(data: Path, tmp_path: Path) -> None:
    said = run('your_own_sampler.py', tmp_path, '--iterations', '8', '--data', str(data))
    assert 'sampler: CentreSampler' in said
    assert [line.partition(':')[0] for line in said.splitlines() if line.startswith('loss_cds')] == TAPS
    assert min(losses(tmp_path / 'work')) > 0


def pictures(notebook: NotebookNode) -> int:
    return sum('image/png' in output.get('data', {}) for cell in notebook.cells for output in cell.get('outputs', []))


def printed(notebook: NotebookNode) -> str:
    return ''.join(output.get('text', '') for cell in notebook.cells for output in cell.get('outputs', []))


@pytest.mark.slow
def test_the_notebook_runs(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PYTHONPATH', str(EXAMPLES.parent))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    notebook = nbformat.read(EXAMPLES / 'cds_in_pictures.ipynb', as_version=4)
    kept = pictures(notebook)
    (parameters,) = (cell for cell in notebook.cells if 'parameters' in cell.metadata.get('tags', []))
    parameters.source = f'EPOCHS = {EPOCHS}\nDATA = {str(data)!r}\nWORK_DIR = {str(tmp_path / "work")!r}'
    for cell in notebook.cells:
        cell.pop('outputs', None) if cell.cell_type == 'markdown' else cell.update(outputs=[])
    NotebookClient(notebook, timeout=300, resources={'metadata': {'path': str(EXAMPLES)}}).execute()
    assert pictures(notebook) == kept == 5
    assert re.search(r'[1-9]\d* predictions on 4 images; all equal: True', printed(notebook))
    assert min(losses(tmp_path / 'work')) > 0


def test_the_notebook_is_kept_with_clean_outputs() -> None:
    path = EXAMPLES / 'cds_in_pictures.ipynb'
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < 1.5e6
    code = [cell for cell in notebook.cells if cell.cell_type == 'code']
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert {output.get('name') for cell in code for output in cell.outputs} <= {None, 'stdout'}
    assert not re.search(r'(?i)warning|/(home|root|tmp|work|usr)/', printed(notebook))
    assert re.search(r'[1-9]\d* predictions on 40 images; all equal: True', printed(notebook))


def test_examples_use_public_names_only() -> None:
    notebook = nbformat.read(EXAMPLES / 'cds_in_pictures.ipynb', as_version=4)
    sources = [path.read_text() for path in EXAMPLES.glob('*.py')]
    sources.append('\n'.join(cell.source for cell in notebook.cells if cell.cell_type == 'code'))
    assert len(sources) == 4
    for source in sources:
        assert not re.search(r'(?:\.|import )_(?!_)\w', source)
