"""Reading the scalars that MMEngine logs, also of interrupted and resumed runs."""

import json
import math
import os
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.runner.utils import calc_dynamic_intervals

Record = dict[str, float]
#: What MMEngine logs beside the metrics of an evaluation.
NOT_METRICS = ('step', 'data_time', 'time', 'iter', 'epoch')
#: Whether it is of a training step, and the record.
_Line = tuple[bool, Record]


@dataclass
class RunLog:
    """The scalars of one run.

    Attributes:
        name (str): Its name in legends.
        train (list[Record]): One record per logged training step, in the order of ``step`` (iterations).
        val (list[Record]): One record per evaluation, in the order of ``step``. An iteration-based run logs 0 for
            all of them, which is replaced by the iteration after which it was evaluated.
        config (Config): That of the last start, as MMEngine wrote it beside the log; empty if there is none.
        by_epoch (bool): Whether ``step`` of ``val`` counts epochs, not iterations. Defaults to True.
        unreadable (int): Lines left out because they are not JSON, as the last one of a killed run.
    """

    name: str
    train: list[Record] = field(default_factory=list)
    val: list[Record] = field(default_factory=list)
    config: Config = field(default_factory=Config)
    by_epoch: bool = True
    unreadable: int = 0

    def series(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of one scalar: from the training records, or from the evaluations if they alone have it.

        Args:
            key (str): ``'loss'``, ``'coco/bbox_mAP'``, ...

        Returns:
            tuple[np.ndarray, np.ndarray]: ``(T,)`` float64 each; empty if nothing was logged under ``key``.
                Values may be NaN or infinite where they were logged so.
        """
        # 'time' is logged by both.
        records = self.train if any(key in record for record in self.train) else self.val
        pairs = [(record['step'], record[key]) for record in records if key in record]
        steps, values = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return steps, values

    def keys(self) -> list[str]:
        """The names of all scalars, in the order in which they first occur."""
        return list(dict.fromkeys(key for record in (*self.train, *self.val) for key in record))

    @property
    def seed(self) -> str:
        """The seed in its config; '?' if there is none."""
        return str((self.config.get('randomness') or {}).get('seed', '?'))


def metric_names(runs: Sequence[RunLog]) -> list[str]:
    """The names of what the evaluations of runs have measured, in the order in which they first occur."""
    names = dict.fromkeys(key for run in runs for record in run.val for key in record)
    return [name for name in names if name not in NOT_METRICS]


def read_runs(paths: Sequence[str], names: Sequence[str] | None = None) -> list[RunLog]:
    """Read several runs.

    Args:
        paths (Sequence[str]): As for :func:`read_run`.
        names (Sequence[str], optional): Names in legends, one for each. Defaults to None: those of the folders.

    Raises:
        FileNotFoundError, ValueError: As :func:`read_run`; and if there is another number of names than of runs.
    """
    return [read_run(path, name) for path, name in zip(paths, check_names(paths, names), strict=True)]


def check_names(paths: Sequence[str], names: Sequence[str] | None) -> Sequence[str]:
    """One name for each run, '' for that of its folder.

    Raises:
        ValueError: If there is another number of names than of runs.
    """
    names = names or [''] * len(paths)
    if len(names) != len(paths):
        raise ValueError(f'--names has {len(names)} names for {len(paths)} runs; give one for each')
    return names


def read_run(path: str | os.PathLike[str], name: str = '') -> RunLog:
    """Read one run.

    A work directory holds one folder of logs per start of the run. They are joined in the order of their
    names, which are times: a later start replaces what an earlier one logged from the same step on.

    Args:
        path (str | os.PathLike): A work directory, one of its time-stamped folders, or a JSON-lines file.
        name (str): Name in legends. Defaults to '' (the name of the folder).

    Returns:
        RunLog: The scalars.

    Raises:
        FileNotFoundError: If there is no log at ``path``.
        ValueError: If the log holds no record.
    """
    path = Path(path)
    run = RunLog(name or (path.stem if path.is_file() else path.resolve().name))
    files = _log_files(path)
    for file in files:
        # Training and evaluations, in the order of the file.
        records: list[_Line] = []
        for line in file.read_text(encoding='utf-8', errors='replace').splitlines():
            record = _parse(line)
            if record is None:
                run.unreadable += bool(line.strip())
            else:
                records.append(('lr' in record or 'iter' in record, record))  # MMEngine logs these in training only
        config = _config_of(file)
        # A start that was killed before its first log has a config, too.
        run.config = config or run.config
        if not records:
            continue
        run.by_epoch = _counts_epochs(records, config)
        if not run.by_epoch:
            _number_evaluations(records, _evaluated_at(config))
        train = [record for is_train, record in records if is_train]
        begun = train[0].get('epoch' if run.by_epoch else 'step', math.inf) if train else math.inf
        # Also if the later start ended before its first evaluation.
        run.val = [record for record in run.val if record['step'] < begun]
        run.train = _joined(run.train, train)
        run.val = _joined(run.val, [record for is_train, record in records if not is_train])
    if not run.train and not run.val:
        raise ValueError(f"no scalars in '{files[0]}'; did the run stop before its first log interval?")
    return run


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Running mean of the finite values.

    Args:
        values (np.ndarray): ``(T,)``, may hold NaN and infinities.
        window (int): Number of values, at least 1; an even number counts as the next odd one. Near the
            ends the window shrinks on both sides, so that it neither lags nor leads.

    Returns:
        np.ndarray: ``(T,)`` float64, NaN exactly where ``values`` is not finite.

    Raises:
        ValueError: If ``window`` is smaller than 1.
    """
    if window < 1:
        raise ValueError(f'smooth={window} must be at least 1 (1 is no smoothing)')
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    index = np.arange(len(values))
    half = np.minimum(window // 2, np.minimum(index, len(values) - 1 - index))
    low, high = index - half, index + half + 1
    mean = (sums[high] - sums[low]) / np.maximum(counts[high] - counts[low], 1)
    return np.where(finite, mean, np.nan)


def _parse(line: str) -> Record | None:
    try:
        entry: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict):
        return None
    record = {key: float(value) for key, value in entry.items() if isinstance(value, (int, float))}
    return record if math.isfinite(record.get('step', math.nan)) else None


def _config_of(file: Path) -> Config:
    """The config that MMEngine writes beside its log; empty if there is none."""
    path = file.with_name('config.py')
    return Config.fromfile(path, import_custom_modules=False) if path.is_file() else Config()


def _counts_epochs(records: Sequence[_Line], config: Config) -> bool:
    """Whether the evaluations of a log count epochs: from its config, else from the records around them."""
    loop = config.get('train_cfg') or {}
    if 'max_iters' in loop or 'max_epochs' in loop:
        logger = (config.get('default_hooks') or {}).get('logger') or {}
        return 'max_iters' not in loop and logger.get('log_metric_by_epoch', True)
    before: Record = {}
    for is_train, record in records:
        if is_train:
            before = record
        # An iteration-based run has no epoch, of which MMEngine counts 0 all the time.
        elif before and record['step'] != before.get('epoch') and not 0 < record['step'] < before['step']:
            return False
    return True


def _number_evaluations(records: Sequence[_Line], points: Sequence[int]) -> None:
    """Set the iteration of evaluations that MMEngine logged as of step 0.

    Those between two logged training steps are at the points between them; where no points are known, at the step
    before and the ones right after it, so that none gets lost.

    Args:
        records (Sequence[_Line]): In the order of the file; changed in place.
        points (Sequence[int]): Iterations at which the loop evaluates, from :func:`_evaluated_at`.
    """
    groups = [(is_train, [line[1] for line in lines]) for is_train, lines in groupby(records, key=itemgetter(0))]
    for place, (is_train, found) in enumerate(groups):
        if is_train or any(record['step'] for record in found):
            continue
        low = groups[place - 1][1][-1]['step'] if place else None
        high = groups[place + 1][1][0]['step'] if place + 1 < len(groups) else math.inf
        between = [point for point in points if (low or 0) <= point < high]
        # A resumed run may evaluate before its first log: then only the end is known.
        between = between[-len(found) :] if low is None and high < math.inf else between[: len(found)]
        if len(between) < len(found):
            first = int(low if low is not None else 1)
            between = list(range(first, first + len(found)))
        for record, point in zip(found, between, strict=True):
            record['step'] = float(point)


def _evaluated_at(config: Config) -> list[int]:
    """The iterations after which an IterBasedTrainLoop evaluates; none if the config does not say."""
    loop = config.get('train_cfg') or {}
    end = loop.get('max_iters')
    if not isinstance(end, int):
        return []
    milestones, intervals = calc_dynamic_intervals(loop.get('val_interval', 1000), loop.get('dynamic_intervals'))
    return [
        point
        for point in range(max(loop.get('val_begin', 1), 1), end + 1)
        if point == end or point % intervals[bisect(milestones, point) - 1] == 0
    ]


def _joined(earlier: list[Record], later: list[Record]) -> list[Record]:
    if not later:
        return earlier
    # Within one file too, the last record of a step counts.
    latest = {record['step']: record for record in later}
    kept = [record for record in earlier if record['step'] < min(latest)]
    return kept + [latest[step] for step in sorted(latest)]


def _log_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    folders = [path, path / 'vis_data', *sorted(path.glob('*/vis_data'))]
    files = [folder / 'scalars.json' for folder in folders if (folder / 'scalars.json').is_file()]
    if files:
        return files
    if not path.exists():
        raise FileNotFoundError(f"run '{path}' does not exist; give a work directory or a scalars.json")
    inside = sorted({str(found.parents[2]) for found in path.glob('*/*/vis_data/scalars.json')})
    hint = f'; these inside it have some: {", ".join(inside[:5])}' if inside else ''
    raise FileNotFoundError(f"run '{path}' has no vis_data/scalars.json{hint}")
