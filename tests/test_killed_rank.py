"""A rank that dies ends the whole job, which says who it was; its last checkpoint goes on."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'configs/cds/faster_rcnn_r18_cds_shapes.py'
RANKS = 2
#: What a rank's death may take to end the launcher, beside other tests: torch gives the other ranks 30 s.
SECONDS = 120


class Job:
    """``tools/dist_train.sh`` in a process group of its own, its output in a file."""

    def __init__(self, log: Path, *options: str) -> None:
        env = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable}
        command = ['bash', 'tools/dist_train.sh', CONFIG, str(RANKS), *options]
        self.log = log
        with log.open('w') as out:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_for(self, pattern: str, limit: float = 200) -> None:
        """Until the log has a line like this."""
        end = time.monotonic() + limit
        while not re.search(pattern, self.log.read_text()):
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < end, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def worker(self, rank: int) -> int:
        """Process id of a rank: the launcher's child that was given this number."""
        for folder in Path('/proc').iterdir():
            try:
                parent = int((folder / 'stat').read_text().rpartition(')')[2].split()[1])
                mine = parent == self.process.pid
                if mine and f'RANK={rank}' in (folder / 'environ').read_text().split('\0'):
                    return int(folder.name)
            except (OSError, ValueError):  # no process, or gone
                continue
        raise AssertionError(f'rank {rank} is not among the children of {self.process.pid}')

    def end(self) -> None:
        """Leave nothing running."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def jobs() -> Iterator[list[Job]]:
    started: list[Job] = []
    yield started
    for job in started:
        job.end()


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/environ').exists(), reason='looks up ranks in /proc')
def test_a_killed_rank_ends_the_job_and_a_resumed_one_goes_on(tmp_path: Path, jobs: list[Job]) -> None:
    """Rank 1 is killed within the second epoch, rank 0 (who writes the checkpoints) of the resumed job in the third."""
    from mmcds.datasets.shapes import make_shapes

    data, work = make_shapes(tmp_path / 'shapes', train=16, val=2), tmp_path / 'work'
    options = ['--work-dir', str(work), '--resume', '--cfg-options', f'data_root={data}']
    options += ['train_cfg.max_epochs=3', 'train_cfg.val_interval=9', 'train_dataloader.batch_size=1']
    options += ['default_hooks.logger.interval=1']
    for epoch, victim in ((2, 1), (3, 0)):
        job = Job(tmp_path / f'log{epoch}', *options)
        jobs.append(job)
        job.wait_for(rf'Epoch\(train\)\s+\[{epoch}\]\[\s*2/8\]')
        os.kill(job.worker(victim), signal.SIGKILL)
        assert job.process.wait(timeout=SECONDS) != 0
        said = job.log.read_text().rpartition('Root Cause')[2]
        assert re.search(rf'rank\s*: {victim} ', said), said
        assert 'Signal 9 (SIGKILL)' in said
        # What is left is the epoch before, whole.
        assert (work / 'last_checkpoint').read_text().endswith(f'epoch_{epoch - 1}.pth')
        state = torch.load(work / f'epoch_{epoch - 1}.pth', weights_only=False)
        assert state['meta']['epoch'] == epoch - 1
        assert not (work / f'epoch_{epoch}.pth').exists()

    job = Job(tmp_path / 'log4', *options)
    jobs.append(job)
    assert job.process.wait(timeout=200) == 0, job.log.read_text()[-3000:]
    lines = re.findall(r'Epoch\(train\)\s+\[(\d+)\]\[', job.log.read_text())
    assert set(lines) == {'3'}
    assert (work / 'epoch_3.pth').is_file()
