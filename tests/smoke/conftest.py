"""Fixtures of the smoke tests."""

import subprocess
import sys
from pathlib import Path

import pytest
from environments import SITE, layered_venv


@pytest.fixture(scope='session')
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment where the wheel is installed, and the repository is not seen."""
    python = layered_venv(tmp_path_factory.mktemp('venv') / 'venv', SITE)
    pip = [sys.executable, '-m', 'pip', '--python', str(python), '-q', 'install', '--no-deps', '--no-index']
    subprocess.run([*pip, str(wheel)], check=True)
    return python
