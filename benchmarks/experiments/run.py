r"""Run a matrix of experiments and write its page.

A run that was killed goes on from its checkpoint; one that is finished is not run again, so that a second call
of a finished matrix only writes the same page.

A GPU that a run leaves idle, as small ones do, takes several at a time where they share it by NVIDIA's MPS
(`nvidia-cuda-mps-control -d` before, and --jobs as many as there are cores); without it they only take turns.

Examples:
  python benchmarks/experiments/run.py benchmarks/experiments/classification_converged_matrix.py \
      --out docs/results_classification.md
  python benchmarks/experiments/run.py benchmarks/experiments/classification_converged_matrix.py \
      --arms baseline cds --jobs 1
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run as run_tool


def main() -> int:
    """Run, then write the page. Returns 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('matrix', help='a matrix file')
    parser.add_argument('--work-dir', help='where the runs go (default work_dirs/<name of the matrix>)')
    parser.add_argument('--arms', nargs='+', help='only these arms')
    parser.add_argument('--jobs', type=int, help='runs at a time (default: the CPU cores, 1 with a GPU)')
    parser.add_argument('--threads', type=int, default=1, help='OpenMP threads of each run (default 1)')
    parser.add_argument('--out', help='the Markdown page to write (default: results.md in the work directory)')
    parser.add_argument('--page-only', action='store_true', help='run nothing, write the page from what is finished')
    args = parser.parse_args()
    here = Path(__file__).resolve().parent
    # With the script's own folder, MMEngine would find `ideas` a second time, by that name alone.
    sys.path[:] = [each for each in sys.path if Path(each).resolve() != here]
    os.chdir(here.parents[1])
    import torch

    from benchmarks.experiments.matrix import load_matrix
    from benchmarks.experiments.page import write_page
    from benchmarks.experiments.runner import run_all, runs_of
    from mmcds.utils.errors import check_count, unknown_name

    if args.jobs is not None:
        check_count('--jobs', args.jobs, 1)
    check_count('--threads', args.threads, 1)
    matrix = load_matrix(args.matrix)
    for name in args.arms or []:
        if name not in matrix.arms:
            raise unknown_name('--arms', name, matrix.arms)
    work_dir = Path(args.work_dir or Path('work_dirs') / Path(args.matrix).stem.removesuffix('_matrix')).resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    failed = []
    if not args.page_only:
        if matrix.prepare and not all(run.done for run in runs_of(matrix, work_dir, args.arms)):
            done = subprocess.run(matrix.prepare.format(python=sys.executable), shell=True, check=False)
            if done.returncode:
                raise ValueError(f'{args.matrix}: prepare={matrix.prepare!r} ended with {done.returncode}, see above')
        jobs = args.jobs or (1 if torch.cuda.is_available() else os.cpu_count() or 1)
        failed = run_all(matrix, work_dir, jobs, args.threads, args.arms)
    out = Path(args.out) if args.out else work_dir / 'results.md'
    print(write_page(matrix, work_dir, out))
    return 1 if failed else 0


if __name__ == '__main__':
    run_tool(main)
