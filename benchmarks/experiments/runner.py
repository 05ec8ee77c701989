"""Runs a matrix: in parallel, resumable, paired by seed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import set_random_seed

from mmcds.apis import remove_cds
from mmcds.checkpoints.files import latest_checkpoint
from mmcds.config.load_config import load_config
from mmcds.utils.checkpoint_files import load_checkpoint, renamed_last

from .matrix import Arm, Matrix
from .record import Load, Record, changed_defaults, defaults_of, digest_of, make_record, read_record, write_record
from .state import State, read_state, resident_peak, write_state

ROOT = Path(__file__).resolve().parents[2]


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
        """Whether its last checkpoint is on this machine, for an arm that starts from it."""
        return read_state(self.folder).finished and latest_checkpoint(self.folder) is not None

    def checkpoint(self) -> str:
        """The last checkpoint it wrote."""
        return str(latest_checkpoint(self.folder))


def experiment_of(matrix: Matrix, arm: Arm, load: Load = load_config) -> tuple[str, dict[str, Any]]:
    """What tells an arm's experiment from others: its digest, and the defaults that it relies on.

    Both contain those of the arms that it starts from.
    """
    needed = {name: experiment_of(matrix, matrix.arms[name], load) for name in arm.after}
    defaults = {f'{name}: {field}': value for name, (_, found) in needed.items() for field, value in found.items()}
    digest = digest_of(arm.config, arm.options, [digest for digest, _ in needed.values()], load)
    return digest, {**defaults_of(arm.config, arm.options, load), **defaults}


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
    # Of this model: a baseline that has changed starts from others.
    which = digest_of(baseline.config, baseline.options)
    path = work_dir / 'init' / f'{baseline.name}_{which}_seed{run.seed}.pth'
    if not path.is_file():
        # Initialisation tells of every weight otherwise.
        MMLogger.get_instance('benchmarks', log_level='ERROR')
        cfg = remove_cds(load_config(baseline.config))
        set_random_seed(run.seed)
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdet'):
            model: Any = MODELS.build(deepcopy(cfg.model))
            model.init_weights()
        with renamed_last(path) as partial:
            torch.save({'state_dict': model.state_dict()}, partial)
    return path


def start_weights(matrix: Matrix, run: Run, others: dict[tuple[str, int], Run], work_dir: Path) -> Path:
    """:func:`initial_weights`, with the backbone that another arm has trained where the arm asks for it.

    Raises:
        ValueError: If that backbone is another one.
    """
    random = initial_weights(matrix, run, work_dir)
    if not run.arm.backbone:
        return random
    source = others[run.arm.backbone, run.seed].checkpoint()
    path = random.with_name(f'{random.stem}_{run.arm.backbone}.pth')
    if not path.is_file() or path.stat().st_mtime < Path(source).stat().st_mtime:
        weights, trained = load_checkpoint(random)['state_dict'], load_checkpoint(source)['state_dict']
        shapes = {key: tuple(value.shape) for key, value in weights.items() if key.startswith('backbone.')}
        wrong = [key for key, shape in shapes.items() if key not in trained or tuple(trained[key].shape) != shape]
        if wrong:
            raise ValueError(
                f'arm {run.arm.name!r}: the backbone of {run.arm.backbone!r} has no {wrong[0]} of its shape'
            )
        with renamed_last(path) as partial:
            torch.save({'state_dict': {**weights, **{key: trained[key] for key in shapes}}}, partial)
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

    Raises:
        ValueError: If a run was started or finished as another experiment than the matrix now says.
    """
    runs = runs_of(matrix, work_dir, arms)
    every = {(run.arm.name, run.seed): run for run in runs_of(matrix, work_dir)}
    check_unchanged(matrix, runs)
    waiting = [run for run in runs if not run.done]
    print(f'{len(runs) - len(waiting)} of {len(runs)} runs are finished', flush=True)
    for run in waiting:  # grows meanwhile: what is needed may need something itself
        for other in (every[name, run.seed] for name in run.arm.after):
            if other.done and not other.has_checkpoint and other not in waiting:
                # Finished on another machine, whose checkpoint is not here: it is needed, so it is run again.
                check_unchanged(matrix, [other])
                waiting.append(other)
    again = {run.record for run in waiting if run.done}
    active: dict[subprocess.Popen[bytes], tuple[Run, State, float]] = {}
    failed: list[Run] = []
    total, begun = len(waiting), time.monotonic()
    print(f'{total} to go, {jobs} at a time', flush=True)
    while waiting or active:
        for process, (run, state, started) in list(active.items()):
            state.memory = max(state.memory, resident_peak(process.pid))
            code, seconds = process.poll(), time.monotonic() - started
            now = replace(state, seconds=state.seconds + seconds, finished=code == 0)
            write_state(run.folder, now)
            if code is None:
                continue
            del active[process]
            text = 'finished' if code == 0 else f'FAILED, see {run.folder / "log"}'
            try:
                if code == 0:
                    write_record(run.record, make_record(run.folder, run.arm, now, threads))
                    again.discard(run.record)
            except ValueError as error:
                code, text = 1, f'FAILED: {error}'
                write_state(run.folder, replace(now, finished=False))
            if code:
                failed.append(run)
            left = len(waiting) + len(active)
            pace = (time.monotonic() - begun) / max(total - left, 1)
            print(f'{run.name}: {text} in {seconds:.0f} s; {left} left, about {pace * left / 60:.0f} min', flush=True)

        def usable(other: Run) -> bool:
            return other.done and other.has_checkpoint and other.record not in again

        ready = [run for run in waiting if all(usable(every[name, run.seed]) for name in run.arm.after)]
        if waiting and not ready and not active:
            failed += waiting
            print(f'{len(waiting)} runs wait for arms that failed or were not asked for', flush=True)
            break
        while ready and len(active) < jobs:
            run = ready.pop(0)
            waiting.remove(run)
            run.folder.mkdir(parents=True, exist_ok=True)
            digest, defaults = experiment_of(matrix, run.arm)
            state = replace(read_state(run.folder), digest=digest, defaults=defaults, finished=False)
            write_state(run.folder, state)
            command = command_of(run, every, start_weights(matrix, run, every, work_dir))
            with (run.folder / 'log').open('a') as log:
                environment = {**os.environ, 'OMP_NUM_THREADS': str(threads)}
                process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment)
            active[process] = (run, state, time.monotonic())
        time.sleep(0.5)
    return failed


def check_unchanged(matrix: Matrix, runs: Sequence[Run]) -> None:
    """Fail on a run that was finished, or begun, as another experiment than its arm is now.

    Raises:
        ValueError: With what differs and the remedy.
    """
    now: dict[str, tuple[str, dict[str, Any]]] = {}
    load = cache(load_config)  # seconds each, and many arms share a config
    for run in runs:
        then = read_record(run.record) if run.done else read_state(run.folder)
        if not then.digest:
            continue
        arm = run.arm
        if arm.name not in now:
            now[arm.name] = experiment_of(matrix, arm, load)
        digest, defaults = now[arm.name]
        changed = changed_defaults(then.defaults, defaults)
        if then.digest == digest and not changed:
            continue
        what = f'defaults of the necks have changed since, which were {changed}' if changed else ''
        if not isinstance(then, Record):
            raise ValueError(
                f'{run.name} was begun as another experiment ({what or "config or options have changed since"}); '
                f'remove {run.folder} to begin anew'
            )
        asked = json.loads(json.dumps([arm.config, arm.options]))
        same = asked == [then.config, then.options]
        what = what or (
            f'the content of {then.config}, of what it inherits or of an arm that it starts from has changed'
            if same
            else f'the matrix says {asked}'
        )
        raise ValueError(
            f'{run.name} was run with config={then.config} options={then.options}; {what}; remove {run.record} and '
            f'{run.folder} to run it again'
        )
