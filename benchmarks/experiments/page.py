"""The page of a matrix, written from the records of its runs."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.speed.headline import markdown_table
from mmcds.analysis.runs.curves import smaller_is_better
from mmcds.utils.errors import unknown_name

from .figure import Point, draw_curves, draw_differences
from .matrix import Arm, Matrix
from .record import ROOT, Record, read_record
from .runner import check_unchanged, records_of, runs_of

#: Between a value and its spread: a narrow column must not part them.
PLUS_MINUS = '\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}'
#: By arm, then by seed.
Records = dict[str, dict[int, Record]]


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """Mean of the differences of paired values and half of its 95 % confidence interval (Student's t).

    Args:
        ours, theirs (Sequence[float]): One value per seed, in the same order.

    Returns:
        tuple[float, float]: The mean, and the half width; NaN for fewer than two pairs.
    """
    each = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    count = len(each)
    if count < 2:
        return float(each.mean()) if count else float('nan'), float('nan')
    half = stats.t.ppf(0.975, count - 1) * each.std(ddof=1) / np.sqrt(count)
    return float(each.mean()), float(half)


def read_records(matrix: Matrix, work_dir: Path) -> Records:
    """The records of all finished runs."""
    found: Records = {name: {} for name in matrix.arms}
    runs = [run for run in runs_of(matrix, work_dir) if run.done]
    check_unchanged(matrix, runs)
    for run in runs:
        found[run.arm.name][run.seed] = read_record(run.record)
    return found


def difference(matrix: Matrix, records: Records, arm: str, other: str, metric: str) -> tuple[float, float, int]:
    """Paired difference of a metric to another arm, half of its interval, and the number of pairs, none to itself."""
    if arm == other:
        return *paired_difference([], []), 0
    ours, theirs = (values_of(matrix, records, name, metric) for name in (arm, other))
    shared = [seed for seed in ours if seed in theirs]
    return *paired_difference([ours[seed] for seed in shared], [theirs[seed] for seed in shared]), len(shared)


def values_of(matrix: Matrix, records: Records, arm: str, metric: str) -> dict[int, float]:
    """A metric of the last evaluations of an arm, by seed; empty where it logs another one.

    COCO's are fractions, shown in points of a hundred.

    Raises:
        ValueError: If all arms have run and none has logged it, with the nearest that has been.
    """
    factor = 100 if metric.startswith('coco/') else 1
    logged = {key for runs in records.values() for record in runs.values() for key in record.metrics}
    if all(records.values()) and metric not in logged:
        raise unknown_name(f'{matrix.path}: metrics', metric, sorted(logged))
    return {seed: run.metrics[metric] * factor for seed, run in records[arm].items() if metric in run.metrics}


def table(matrix: Matrix, records: Records) -> str:
    """A Markdown table with a row per arm: mean and s.d. over seeds, difference to its baseline.

    Metrics are those of the last evaluation; no epoch, seed or split is chosen by them.
    """
    heads = ['arm', 'seeds', *(head for title in matrix.metrics.values() for head in (title, 'difference'))]
    lines = [_row(arm, matrix, records) for name, arm in matrix.arms.items() if records[name]]
    return markdown_table(heads, lines)


def cost_table(matrix: Matrix, records: Records) -> str:
    """A Markdown table with a row per arm: what a run of it took, the mean over seeds."""
    lines = []
    for arm in matrix.arms.values():
        runs = records[arm.name].values()
        if runs:
            step, seconds, memory = np.mean([(run.iteration, run.seconds, run.memory) for run in runs], axis=0)
            lines.append([arm.label, f'{step:.3f}', f'{seconds / 60:.1f}', f'{memory:.0f}'])
    return markdown_table(['arm', 's / iteration', 'minutes', 'MiB'], lines)


def rival_table(matrix: Matrix, records: Records) -> str:
    """A Markdown table of paired differences to other arms than the baseline; '' where none of them has run."""
    lines = []
    for name, other in matrix.rivals:
        found = [difference(matrix, records, name, other, metric) for metric in matrix.metrics]
        pairs = max(pairs for _, _, pairs in found)
        if pairs:
            labels = [matrix.arms[each].label for each in (name, other)]
            lines.append([*labels, str(pairs), *(_signed(*each) for each in found)])
    return markdown_table(['arm', 'against', 'pairs', *matrix.metrics.values()], lines) if lines else ''


def curves_of(matrix: Matrix, records: Records) -> list[tuple[str, str, dict[str, list[Point]]]]:
    """Title, x axis and lines of the matrix's curves, of what has run; curves without two points are left out.

    All points of a curve are of the same seeds: those that all of its arms have run with.
    """
    metric = next(iter(matrix.metrics))
    found = []
    for curve in matrix.curves:
        arms = {arm for points in curve.lines.values() for _, arm in points}
        values = {arm: each for arm in arms if (each := values_of(matrix, records, arm, metric))}
        shared = set.intersection(*map(set, values.values())) if values else set()
        lines = {}
        for label, points in curve.lines.items():
            line = []
            for x, arm in points:
                v = [value for seed, value in values.get(arm, {}).items() if seed in shared]
                if v:
                    line.append((x, float(np.mean(v)), float(np.std(v, ddof=1)) if len(v) > 1 else np.nan))
            if len(line) > 1:
                lines[label] = line
        if lines:
            found.append((curve.title, curve.x, lines))
    return found


def write_page(matrix: Matrix, work_dir: Path, out: Path) -> str:
    """Write the page, its figure beside it, and return the page."""
    records = read_records(matrix, work_dir)
    every = [record for runs in records.values() for record in runs.values()]
    done = [arm for arm in matrix.arms.values() if records[arm.name]]
    commands = [f'- {arm.label} (`{arm.name}`): `{_command(arm)}`' for arm in done]
    by_hand = ''
    if matrix.prepare:
        by_hand += f' `{matrix.prepare.format(python="python")}` prepares them for the commands below.'
    by_hand += (
        ' The driver gives all runs of a seed the same start weights; the commands below do not, '
        'so their numbers differ.'
    )
    if any(arm.after for arm in done):
        by_hand += ' For a name in braces, put the last checkpoint of that arm and seed.'
    drawn = []
    for count, (metric, title) in enumerate(matrix.metrics.items()):
        bars = []
        for arm in matrix.arms.values():
            mean, half, pairs = difference(matrix, records, arm.name, arm.baseline, metric)
            if pairs:
                bars.append((arm.label, mean, half, pairs))
        if bars:
            picture = out.with_name(f'{out.stem}{count or ""}.png')
            draw_differences(bars, f'difference to the baseline, {title}', picture, smaller_is_better(metric))
            intervals = 'with 95 % intervals from three pairs on'
            drawn.append(f'![Paired differences of {title} to the baseline, {intervals}]({picture.name})')
    panels = curves_of(matrix, records)
    if panels:
        title, picture = next(iter(matrix.metrics.values())), out.with_name(f'{out.stem}_curves.png')
        draw_curves(panels, title, picture)
        what = ' and '.join(dict.fromkeys(x for _, x, _ in panels))
        drawn.append(f'![{title} against {what}, with s.d. over the seeds that all points share]({picture.name})')
    rivals = rival_table(matrix, records)
    machines = '; '.join(sorted({record.machine for record in every})) or 'no machine yet'
    kept = records_of(matrix)
    kept = kept.relative_to(ROOT) if kept.is_relative_to(ROOT) else kept
    page = '\n\n'.join(
        [
            f'# {matrix.title}',
            *([matrix.answer] if matrix.answer else []),
            table(matrix, records),
            'Mean ± s.d. over seeds, from the last evaluation of each run. A row without a difference is a baseline; '
            'the rows below it are compared with it. Pairs have the same seed: the same start weights and the same '
            'order of the images. From three pairs on, the ± of a difference is its 95 % interval.',
            *(['Paired differences to other arms than the baseline:', rivals] if rivals else []),
            *drawn,
            '## What was run',
            *([matrix.note] if matrix.note else []),
            f'{len(every)} of {len(runs_of(matrix, work_dir))} runs, on {machines}.{_missing(matrix, records)}',
            '## What a run took',
            'Means over the seeds: seconds of a training step (median of each run), minutes from start to end, peak '
            'memory (of the process on a CPU, of the allocator on a GPU). Runs shared the machine with others, so rows '
            'cannot be compared closely; [cost](cost.md) compares.',
            cost_table(matrix, records),
            '## Run it again',
            f'`python benchmarks/experiments/run.py {matrix.path} --out PAGE` wrote this page. It skips finished '
            f'runs: to repeat a row, remove its folder `{kept}/NAME` and add `--arms NAME`. The scripts of '
            f'`benchmarks/data/` make the data in `data/` from their public originals.{by_hand}',
            '\n'.join(commands),
        ]
    )
    out.write_text(page + '\n')
    return page


def _row(arm: Arm, matrix: Matrix, records: Records) -> list[str]:
    cells = [arm.label, str(len(records[arm.name]))]
    for metric in matrix.metrics:
        values = list(values_of(matrix, records, arm.name, metric).values())
        spread = f'{PLUS_MINUS}{np.std(values, ddof=1):.2f}' if len(values) > 1 else ''
        cells.append(f'{np.mean(values):.2f}{spread}' if values else '')
        cells.append(_signed(*difference(matrix, records, arm.name, arm.baseline, metric)))
    return cells


def _missing(matrix: Matrix, records: Records) -> str:
    """A sentence that names what has not been run; '' if everything has."""
    missing = []
    for name, arm in matrix.arms.items():
        seeds = [seed for seed in arm.seeds or matrix.seeds if seed not in records[name]]
        if seeds:
            which = f' (seed{"s" if len(seeds) > 1 else ""} {", ".join(map(str, seeds))})' if records[name] else ''
            missing.append(f'`{name}`{which}')
    return f' Not run: {", ".join(missing)}.' if missing else ''


def _signed(mean: float, half: float, pairs: int) -> str:
    # Of two pairs an interval of Student's t says nothing: it is a dozen times as wide as they are apart.
    return f'{mean:+.2f}{PLUS_MINUS}{half:.2f}' if pairs > 2 else f'{mean:+.2f}' if pairs else ''


def _command(arm: Arm) -> str:
    options = [f'{key}={value}' for key, value in arm.options.items()]
    if arm.backbone:
        # The backbone has the same names there; what else there is fits nothing here.
        options.append(f'load_from={{{arm.backbone}}}')
    command = ['python', 'tools/train.py', arm.config, '--cfg-options', 'randomness.seed=SEED', *options]
    return ' '.join(shlex.quote(each) for each in command)
