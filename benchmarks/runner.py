"""Runs a matrix: in parallel, resumable, paired by seed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import set_random_seed

from mmcds.apis import remove_cds
from mmcds.utils.config import load_config

from .matrix import Arm, Matrix
from .record import digest_of, make_record, read_record, write_record

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Run:
    """One arm with one seed, the folder it works in, and the file that says what came of it."""

    arm: Arm
    seed: int
    folder: Path
    record: Path

    @property
    def name(self) -> str:
        """As in the progress: 'cds seed 1'."""
        return f'{self.arm.name} seed {self.seed}'

    @property
    def done(self) -> bool:
        """Whether it was finished, by this call of the driver or an earlier one."""
        return self.record.is_file()

    @property
    def has_checkpoint(self) -> bool:
        """Whether its checkpoint is on this machine, for an arm that starts from it."""
        return (self.folder / 'last_checkpoint').is_file()

    def checkpoint(self) -> str:
        """The last checkpoint it wrote."""
        return (self.folder / 'last_checkpoint').read_text().strip()


def records_of(matrix: Matrix) -> Path:
    """Where the records of a matrix are kept, in the repository beside it."""
    return matrix.path.resolve().parent / 'records' / matrix.path.stem.removesuffix('_matrix')


def runs_of(matrix: Matrix, work_dir: Path, arms: Sequence[str] | None = None) -> list[Run]:
    """All runs of a matrix, seed by seed, so that an interrupted matrix is complete for the first seeds."""
    records = records_of(matrix)
    return [
        Run(arm, seed, work_dir / arm.name / f'seed{seed}', records / arm.name / f'seed{seed}.json')
        for seed in matrix.seeds
        for arm in matrix.arms.values()
        if (arms is None or arm.name in arms) and (not arm.seeds or seed in arm.seeds)
    ]


def initial_weights(matrix: Matrix, run: Run, work_dir: Path) -> Path:
    """A checkpoint of the stock model's random weights, one per baseline and seed, that all its arms start from."""
    baseline = matrix.arms[run.arm.baseline]
    path = work_dir / 'init' / f'{baseline.name}_seed{run.seed}.pth'
    if not path.is_file():
        # Initialisation tells of every weight otherwise.
        MMLogger.get_instance('benchmarks', log_level='ERROR')
        cfg = remove_cds(load_config(baseline.config))
        set_random_seed(run.seed)
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdet'):
            model: Any = MODELS.build(deepcopy(cfg.model))
            model.init_weights()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix('.partial')
        torch.save({'state_dict': model.state_dict()}, partial)
        os.replace(partial, path)
    return path


def command_of(run: Run, others: dict[tuple[str, int], Run], init: Path) -> list[str]:
    """The command line of a run, as its user would type it."""
    known = {
        name: other.checkpoint() for (name, seed), other in others.items() if seed == run.seed and other.has_checkpoint
    }
    options: dict[str, Any] = {'randomness.seed': run.seed, 'load_from': str(init), **run.arm.options}
    pairs = [f'{key}={str(value).format(**known)}' for key, value in options.items()]
    python = [sys.executable, 'tools/train.py', run.arm.config]
    return [*python, '--work-dir', str(run.folder), '--resume', '--cfg-options', *pairs]


def run_all(matrix: Matrix, work_dir: Path, jobs: int, threads: int, arms: Sequence[str] | None = None) -> list[Run]:
    """Run what is not finished yet.

    Args:
        matrix (Matrix): What to run.
        work_dir (Path): Gets a folder per arm and seed; runs that were killed go on from their checkpoint.
        jobs (int): Runs at a time, >= 1.
        threads (int): OpenMP threads of each.
        arms (Sequence[str], optional): Only these. Defaults to None: all.

    Returns:
        list[Run]: The runs that failed; their logs say why.
    """
    runs = runs_of(matrix, work_dir, arms)
    every = {(run.arm.name, run.seed): run for run in runs_of(matrix, work_dir)}
    waiting = [run for run in runs if not run.done]
    for run in list(waiting):
        for other in (every[name, run.seed] for name in run.arm.after):
            if other.done and not other.has_checkpoint:
                # Finished on another machine, whose checkpoint is not here: it is needed, so it is run again.
                other.record.unlink()
                waiting.append(other)
    active: dict[subprocess.Popen[bytes], tuple[Run, float]] = {}
    failed: list[Run] = []
    for run in runs:
        check_unchanged(run)
    total, begun = len(waiting), time.monotonic()
    print(f'{len(runs) - total} of {len(runs)} runs are finished, {total} to go, {jobs} at a time', flush=True)
    while waiting or active:
        for process, (run, started) in list(active.items()):
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if not ended:
                continue
            process.returncode = os.waitstatus_to_exitcode(status)
            del active[process]
            seconds = time.monotonic() - started
            if process.returncode == 0:
                record = make_record(run.folder, run.arm.config, run.arm.options, seconds, usage.ru_maxrss / 1024)
                write_record(run.record, record)
            else:
                failed.append(run)
            left = len(waiting) + len(active)
            pace = (time.monotonic() - begun) / max(total - left, 1)
            state = 'finished' if process.returncode == 0 else f'FAILED, see {run.folder / "log"}'
            print(f'{run.name}: {state} in {seconds:.0f} s; {left} left, about {pace * left / 60:.0f} min', flush=True)
        ready = [run for run in waiting if all(_usable(every[name, run.seed]) for name in run.arm.after)]
        if waiting and not ready and not active:
            failed += waiting
            print(f'{len(waiting)} runs wait for arms that failed or were not asked for', flush=True)
            break
        while ready and len(active) < jobs:
            run = ready.pop(0)
            waiting.remove(run)
            run.folder.mkdir(parents=True, exist_ok=True)
            command = command_of(run, every, initial_weights(matrix, run, work_dir))
            with (run.folder / 'log').open('a') as log:
                environment = {**os.environ, 'OMP_NUM_THREADS': str(threads)}
                process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment)
            active[process] = (run, time.monotonic())
        time.sleep(0.5)
    return failed


def check_unchanged(run: Run) -> None:
    """Fail on a finished run whose arm was changed since.

    Raises:
        ValueError: With what differs and the remedy.
    """
    if not run.done:
        return
    then = read_record(run.record)
    if then.digest == digest_of(run.arm.config, run.arm.options):
        return
    now = json.loads(json.dumps({'config': run.arm.config, 'options': run.arm.options}))
    same = now == {'config': then.config, 'options': then.options}
    what = f'the content of {then.config}, with what it inherits, has changed' if same else f'the matrix now says {now}'
    raise ValueError(
        f'{run.name} was run with config={then.config} options={then.options}; {what}; '
        f'remove {run.record} and {run.folder} to run it again'
    )


def _usable(run: Run) -> bool:
    return run.done and run.has_checkpoint


def dumped_config(run: Run) -> Config:
    """The config that a run was trained with."""
    found = sorted(run.folder.glob('*/vis_data/config.py'))
    return Config.fromfile(found[-1])
