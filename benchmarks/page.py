"""The page of a matrix, written from the logs of its runs."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from mmcds.utils.errors import unknown_name
from mmcds.visualization.run_log import RunLog, read_run

from .matrix import Arm, Matrix
from .runner import Run, runs_of


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """Mean of the differences of paired values and half of its 95 % confidence interval (Student's t).

    Args:
        ours, theirs (Sequence[float]): One value per seed, in the same order.

    Returns:
        tuple[float, float]: The mean, and the half width; NaN for fewer than two pairs.
    """
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    count = len(difference)
    if count < 2:
        return float(difference.mean()) if count else float('nan'), float('nan')
    half = stats.t.ppf(0.975, count - 1) * difference.std(ddof=1) / np.sqrt(count)
    return float(difference.mean()), float(half)


def table(matrix: Matrix, work_dir: Path) -> str:
    """A Markdown table with a row per arm: mean and s.d. over seeds, difference to its baseline, cost.

    Metrics are those of the last evaluation; no epoch, seed or split is chosen by them.
    """
    logs: dict[str, dict[int, RunLog]] = {name: {} for name in matrix.arms}
    for run in runs_of(matrix, work_dir):
        if run.done:
            logs[run.arm.name][run.seed] = read_run(run.folder)
    heads = ['arm', 'seeds']
    for title in matrix.metrics.values():
        heads += [title, 'difference to the baseline']
    lines = [[*heads, 's / iteration'], ['---'] * (len(heads) + 1)]
    lines += [_row(arm, matrix, logs) for arm in matrix.arms.values() if logs[arm.name]]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def write_page(matrix: Matrix, work_dir: Path, out: Path) -> str:
    """Write the page and return it."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f'{os.cpu_count()} CPU cores, no GPU'
    runs = runs_of(matrix, work_dir)
    done: list[Run] = [run for run in runs if run.done]
    commands = [f'- {arm.label}: `{_command(arm)}`' for arm in matrix.arms.values()]
    page = '\n\n'.join(
        [
            f'# {matrix.title}',
            f'Written by `python benchmarks/run.py {matrix.path}` on {device}, {platform.machine()}, torch '
            f'{torch.__version__}: {len(done)} of {len(runs)} runs are finished. Mean ± s.d. over seeds, from the last '
            'evaluation of each run. Differences are paired by seed (same initial weights of what is shared, same '
            'order of the images), with the 95 % interval of their mean. Seconds per iteration are the median of each '
            'run, averaged; runs shared the machine, so they are no benchmark.',
            *([matrix.note] if matrix.note else []),
            table(matrix, work_dir),
            'Each row can be run by itself with `--arms`; a single run is',
            '\n'.join(commands),
        ]
    )
    out.write_text(page + '\n')
    return page


def _row(arm: Arm, matrix: Matrix, logs: dict[str, dict[int, RunLog]]) -> list[str]:
    runs = logs[arm.name]
    base = logs[arm.baseline]
    cells = [arm.label, str(len(runs))]
    for metric in matrix.metrics:
        for seed, run in runs.items():
            if not len(run.series(metric)[1]):
                raise unknown_name(
                    f'{matrix.path}: arm {arm.name!r} seed {seed} has not logged the metric', metric, run.keys()
                )
        values = [float(run.series(metric)[1][-1]) for run in runs.values()]
        spread = f' ± {np.std(values, ddof=1):.2f}' if len(values) > 1 else ''
        cells.append(f'{np.mean(values):.2f}{spread}')
        shared = [seed for seed in runs if seed in base and arm.baseline != arm.name]
        ours, theirs = ([float(side[seed].series(metric)[1][-1]) for seed in shared] for side in (runs, base))
        mean, half = paired_difference(ours, theirs)
        cells.append(f'{mean:+.2f} ± {half:.2f}' if len(shared) > 1 else f'{mean:+.2f}' if shared else '')
    seconds = np.mean([np.median(run.series('time')[1]) for run in runs.values()])
    return [*cells, f'{seconds:.3f}']


def _command(arm: Arm) -> str:
    options = ' '.join(f'{key}={value}' for key, value in arm.options.items())
    return f'python tools/train.py {arm.config} --cfg-options randomness.seed=SEED {options}'.rstrip()
