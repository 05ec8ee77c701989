"""Tables of runs, from their logs."""

from collections.abc import Sequence

import numpy as np

from .run_log import RunLog, metric_names, read_run

METRICS = ('coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/bbox_mAP_75', 'accuracy/top1')
HEADS = {'coco/bbox_mAP': 'AP', 'coco/bbox_mAP_50': 'AP50', 'coco/bbox_mAP_75': 'AP75', 'accuracy/top1': 'top-1'}
COLUMNS = 4  # of metrics, at most


def pair_table(pairs: Sequence[tuple[str, str]]) -> str:
    """Markdown table of baselines and the runs compared with them.

    The metrics are those of the last evaluation, never of the best one: which one is best is not
    known without looking at the validation set.

    Args:
        pairs (Sequence[tuple[str, str]]): Work directories (baseline, compared).

    Returns:
        str: The table, with two rows per pair; differences are in brackets.

    Raises:
        FileNotFoundError, ValueError: If a work directory holds no log or no evaluation.
    """
    logs = [(read_run(base), read_run(other)) for base, other in pairs]
    rows, metrics = [], _metrics([run for pair in logs for run in pair])
    heads = ['run', 'seed', 'epochs', *(HEADS.get(metric, metric) for metric in metrics), 's / iteration']
    for base, other in logs:
        rows.append(_row(base, metrics, None))
        rows.append(_row(other, metrics, base))
    lines = [heads, ['---'] * len(heads), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def _metrics(runs: Sequence[RunLog]) -> list[str]:
    found = [metric for metric in METRICS if all(len(run.series(metric)[0]) for run in runs)]
    if not found:
        # Of another package: what all of them evaluate.
        found = [name for name in metric_names(runs) if all(len(run.series(name)[0]) for run in runs)][:COLUMNS]
    if not found:
        raise ValueError(f'the runs {[run.name for run in runs]} share no metric, such as {METRICS[0]}')
    return found


def _row(run: RunLog, metrics: Sequence[str], base: RunLog | None) -> list[str]:
    cells = [run.name, run.seed, f'{run.val[-1]["step"]:.0f}{"" if run.by_epoch else " iterations"}']
    for metric in metrics:
        value = run.series(metric)[1][-1]
        change = '' if base is None else f' ({value - base.series(metric)[1][-1]:+.3f})'
        cells.append(f'{value:.3f}{change}')
    seconds = float(np.median(run.series('time')[1]))
    ratio = '' if base is None else f' ({seconds / float(np.median(base.series("time")[1])):.2f} x)'
    return [*cells, f'{seconds:.2f}{ratio}']
