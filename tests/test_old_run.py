"""A run killed before the modules moved is resumed, tested and exported; ``fixtures/old_run`` holds what it left."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from run_results import average_distance, detections_of, losses_of

ROOT = Path(__file__).resolve().parents[1]
FIXTURE = ROOT / 'tests/fixtures/old_run'
EXPECTED: dict[str, Any] = json.loads((FIXTURE / 'expected.json').read_text())

pytestmark = pytest.mark.slow


def tool(folder: Path, name: str, *arguments: str) -> str:
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, str(ROOT / 'tools' / name), *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A folder as the old code left it when it was killed in its second epoch."""
    run = tmp_path / 'work_dirs/tiny'
    run.mkdir(parents=True)
    shutil.copy(FIXTURE / 'dumped.txt', tmp_path / 'tiny.py')
    shutil.copy(FIXTURE / 'epoch_1.pth', run)
    (run / 'last_checkpoint').write_text(str(run / 'epoch_1.pth'))
    return tmp_path


def test_a_killed_run_resumes_with_the_losses_of_one_that_was_not(killed: Path) -> None:
    tool(killed, 'train.py', 'tiny.py', '--resume')
    run = killed / 'work_dirs/tiny'
    found = losses_of(run, after_epoch=1)
    print('differences', [max(abs(f[k] / w[k] - 1) for k in w) for f, w in zip(found, EXPECTED['losses'], strict=True)])
    print({k: v / EXPECTED['average_distance'][k] - 1 for k, v in average_distance(run / 'epoch_3.pth').items()})
    assert len(found) == len(EXPECTED['losses']) == 8
    for iteration, wanted in zip(found, EXPECTED['losses'], strict=True):
        assert iteration == pytest.approx(wanted, rel=1e-4)
    assert average_distance(run / 'epoch_3.pth') == pytest.approx(EXPECTED['average_distance'], rel=1e-3)


def test_an_old_checkpoint_and_its_export_detect_the_same(killed: Path) -> None:
    checkpoint = 'work_dirs/tiny/epoch_1.pth'
    exported = tool(killed, 'export.py', checkpoint, '--out', 'stock.pth', '--config', 'tiny.py')
    print(exported)
    stock: dict[str, torch.Tensor] = torch.load(killed / 'stock.pth', weights_only=False)['state_dict']
    old: dict[str, torch.Tensor] = torch.load(killed / checkpoint, weights_only=False)['state_dict']
    assert set(stock) == {name for name in old if not name.startswith('neck.cds.')}
    assert all(torch.equal(stock[name], old[name]) for name in stock)
    found = []
    for path in (checkpoint, 'stock.pth'):
        tool(killed, 'test.py', 'tiny.py', path, '--work-dir', 'tested', '--out', 'out.pkl')
        found.append(detections_of(killed / 'out.pkl'))
    assert found[0] == found[1]
    print(found[0] == EXPECTED['detections'])
    for image, wanted in zip(found[0], EXPECTED['detections'], strict=True):
        assert image['labels'] == wanted['labels']
        assert torch.allclose(torch.tensor(image['bboxes']), torch.tensor(wanted['bboxes']), rtol=0, atol=1e-3)
        assert torch.allclose(torch.tensor(image['scores']), torch.tensor(wanted['scores']), rtol=1e-4, atol=0)
