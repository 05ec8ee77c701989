"""In processes of their own, since the setting is one of the process."""

import subprocess
import sys

import pytest
import torch

PROGRAM = """
import sys
from pathlib import Path
import torch
from benchmarks.speed.allocator import keep_freed_memory

def resident():
    lines = Path('/proc/self/status').read_text().splitlines()
    return int(next(line for line in lines if line.startswith('VmRSS')).split()[1]) / 1024

done = keep_freed_memory() if sys.argv[1] == 'keep' else None
before = resident()
block = torch.ones(2**26)  # 256 MiB
del block
print(done, resident() - before > 200)
"""

pytestmark = pytest.mark.skipif(torch.cuda.is_available() or sys.platform != 'linux', reason='glibc without a GPU')


def run(mode: str, **environment: str) -> list[str]:
    found = subprocess.run(
        [sys.executable, '-c', PROGRAM, mode],
        capture_output=True,
        text=True,
        check=True,
        env={'PATH': '/usr/bin', 'OMP_NUM_THREADS': '1', **environment},
    )
    return found.stdout.split()


def test_a_freed_block_stays_with_the_process() -> None:
    assert run('keep') == ['True', 'True']


def test_without_it_the_kernel_gets_it_back() -> None:
    assert run('leave') == ['None', 'False']


def test_what_the_user_has_set_stays() -> None:
    assert run('keep', MALLOC_TRIM_THRESHOLD_='131072') == ['False', 'False']
