"""Forwards to benchmarks/families/run.py, which takes the same arguments."""

import runpy
import sys
from pathlib import Path

PLACE = Path(__file__).resolve().parents[2] / 'benchmarks/families/run.py'

if __name__ == '__main__':
    if not PLACE.is_file():
        sys.exit('error: this tool is not part of the package; use benchmarks/families/run.py of the repository')
    sys.argv[0] = str(PLACE)
    runpy.run_path(str(PLACE), run_name='__main__')
