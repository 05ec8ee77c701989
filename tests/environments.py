"""Environments of other people, made from the one that runs the tests, without changing it."""

import subprocess
import sys
import sysconfig
from pathlib import Path

SITE = Path(sysconfig.get_path('purelib'))


def layered_venv(folder: Path, below: Path) -> Path:
    """A virtual environment that also sees the packages in ``below``; returns its interpreter."""
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(folder)], check=True)
    python = folder / 'bin/python'
    (site,) = folder.glob('lib/python*/site-packages')
    # Folders that a .pth file names are no site folders: what editable installs put into `below` is not seen.
    (site / 'below.pth').write_text(f'{below}\n')
    return python
