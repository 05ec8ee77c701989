"""A run that the code before the modules moved began goes on with today's; ``fixtures/old_run/make.py`` made it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
FIXTURE = ROOT / 'tests/fixtures/old_run'

pytestmark = pytest.mark.slow


def tool(folder: Path, *arguments: str) -> str:
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, str(ROOT / arguments[0]), *arguments[1:]]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope='module')
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the old code left it when it was killed in its second epoch."""
    folder = tmp_path_factory.mktemp('old')
    run = folder / 'work_dirs/tiny'
    run.mkdir(parents=True)
    shutil.copy(FIXTURE / 'dumped.py', folder / 'tiny.py')
    shutil.copy(FIXTURE / 'epoch_1.pth', run)
    (run / 'last_checkpoint').write_text('work_dirs/tiny/epoch_1.pth')
    return folder


def test_a_killed_run_goes_on_with_the_losses_it_would_have_had(killed: Path) -> None:
    tool(killed, 'tools/train.py', 'tiny.py', '--resume')
    (log,) = killed.glob('work_dirs/tiny/*/vis_data/scalars.json')
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    expected: list[dict[str, float]] = json.loads((FIXTURE / 'losses.json').read_text())
    assert len(rows) == len(expected) == 4
    # The window of the log begins anew on resume, so the averages over the epoch are compared from its start.
    for row, wanted in zip(rows, expected, strict=True):
        assert {key: row[key] for key in wanted} == pytest.approx(wanted, rel=1e-4)
    ended = torch.load(killed / 'work_dirs/tiny/epoch_2.pth', weights_only=False)
    assert ended['meta']['iter'] == 8


def test_an_old_checkpoint_is_tested_and_exported(killed: Path) -> None:
    loose = ['--cfg-options', 'model.test_cfg.score_thr=0.0']  # it has hardly learned yet
    printed = tool(killed, 'tools/test.py', 'tiny.py', str(FIXTURE / 'epoch_1.pth'), *loose)
    assert 'bbox_mAP' in printed
    tool(killed, 'tools/export.py', str(FIXTURE / 'epoch_1.pth'), '--config', 'tiny.py', '--out', 'stock.pth')
    old: dict[str, Any] = torch.load(FIXTURE / 'epoch_1.pth', weights_only=False)['state_dict']
    stock: dict[str, Any] = torch.load(killed / 'stock.pth', weights_only=False)['state_dict']
    assert set(stock) == {key for key in old if not key.startswith('neck.cds.')}
    assert all(torch.equal(stock[key], old[key]) for key in stock)
