"""Tables of a report as HTML, with differences to the first run."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from .curves import smaller_is_better
from .run_log import RunLog, metric_names

CLASS_SUFFIX = '_precision'


@dataclass
class ReportedRun:
    """A run in a report.

    Attributes:
        log (RunLog): Its scalars.
        folder (Path): Its work directory.
        config (str): The config that it was started with, as text; '' where none is kept.
    """

    log: RunLog
    folder: Path
    config: str

    @property
    def name(self) -> str:
        """Name of the run in tables."""
        return self.log.name


def results_table(runs: Sequence[ReportedRun]) -> str:
    """All metrics of the last evaluations, with differences to the first run."""
    names = [name for name in _metrics(runs) if not name.endswith(CLASS_SUFFIX)]
    if not names:
        return ''
    rows = [['seed', *(run.log.seed for run in runs)]]
    rows += [['evaluated after', *(_progress(run.log) for run in runs)]]
    rows += [[name, *_compared([_last(run.log, name) for run in runs], less=smaller_is_better(name))] for name in names]
    return _table(['', *(run.name for run in runs)], rows)


def class_table(runs: Sequence[ReportedRun]) -> str:
    """AP of each class, if the runs have logged it."""
    names = [name for name in _metrics(runs) if name.endswith(CLASS_SUFFIX)]
    if not names:
        if not any(name.startswith('coco/') for name in _metrics(runs)):
            return ''
        return note('Not logged. val_evaluator=dict(classwise=True) in the config makes mmdet log it.')
    rows = [
        [
            # Only the metric's prefix goes: a class may have a slash in its name.
            escape((name.partition('/')[2] or name).removesuffix(CLASS_SUFFIX)),
            *_compared([_last(run.log, name) for run in runs]),
        ]
        for name in names
    ]
    return _table(['class', *(run.name for run in runs)], rows)


def cost_table(runs: Sequence[ReportedRun]) -> str:
    """Seconds of a step, memory and time of the training steps."""
    rows = []
    steps = [float(np.median(run.log.series('time')[1])) if len(run.log.series('time')[1]) else None for run in runs]
    rows.append(['seconds of a step, median', *_compared(steps, ratio=True)])
    iterations = [_iterations(run.log) for run in runs]
    rows.append(['iterations', *(f'{count:.0f}' if count else '' for count in iterations)])
    minutes = [step * count / 60 if step and count else None for step, count in zip(steps, iterations, strict=True)]
    rows.append(['minutes in training steps', *_compared(minutes, ratio=True)])
    memory = [float(run.log.series('memory')[1].max()) if len(run.log.series('memory')[1]) else None for run in runs]
    if any(memory):
        rows.append(['GPU memory, MiB', *_compared(memory, ratio=True)])
    extra = [_last(run.log, 'cds_extra_time') for run in runs]
    if any(extra):
        rows.append(['of a step, forward pass of the contrast, s', *(f'{x:.3f}' if x else '' for x in extra)])
    return _table(['', *(run.name for run in runs)], rows)


def note(text: str) -> str:
    """A remark under a table, given as HTML."""
    return f'<p class="note">{text}</p>'


def _metrics(runs: Sequence[ReportedRun]) -> list[str]:
    return metric_names([run.log for run in runs])


def _last(log: RunLog, name: str) -> float | None:
    values = log.series(name)[1]
    return float(values[-1]) if len(values) else None


def _iterations(log: RunLog) -> float:
    return max((record.get('iter', record['step']) for record in log.train), default=0)


def _progress(log: RunLog) -> str:
    if not log.val:
        return 'not evaluated'
    return f'{log.val[-1]["step"]:.0f} {"epochs" if log.by_epoch else "iterations"}'


def _compared(values: Sequence[float | None], ratio: bool = False, less: bool = False) -> list[str]:
    """Values with their differences to the first. For costs, and if asked, less is better."""
    first, cells = values[0], []
    for place, value in enumerate(values):
        if value is None:
            cells.append('')
            continue
        if value == -1 and not ratio:
            cells.append('no such objects')  # COCO's way to say it
            continue
        text = f'{value:.3f}' if abs(value) < 100 else f'{value:.0f}'
        if place and first and ratio:
            text += f' <span class="{"down" if value > first else "up"}">({value / first:.2f} x)</span>'
        elif place and first is not None and first != -1 and not ratio:
            change = value - first
            kind = 'up' if (-change if less else change) > 0 else 'down' if change else ''
            text += f' <span class="{kind}">({change:+.3f})</span>'
        cells.append(text)
    return cells


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = ''.join(f'<th>{escape(each)}</th>' for each in heads)
    body = ''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>\n' for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'
