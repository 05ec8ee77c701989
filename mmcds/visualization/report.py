"""One self-contained HTML page about a run, or about several beside each other."""

import base64
import difflib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config

from .curves import MAX_PANELS, choose_losses, choose_metrics, plot_runs, smaller_is_better
from .run_log import RunLog, read_run

#: Pictures of a run that are taken into the page, and the size in bytes that one may have.
MAX_PICTURES, MAX_PICTURE_BYTES = 8, 4 * 2**20
_PICTURES = {'.png': 'image/png', '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg'}
#: Scalars of an evaluation that are no metric.
_NO_METRIC = ('step', 'time', 'data_time')
_CLASS_SUFFIX = '_precision'

STYLE = """
:root { color-scheme: light dark; --line: #c9ced6; --soft: #f3f5f8; --good: #0a7a33; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --line: #444b55; --soft: #20242a; --good: #5fd38a; --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; } .up { color: var(--good); } .down { color: var(--bad); }
pre { background: var(--soft); padding: .8rem; overflow-x: auto; font-size: 12.5px; line-height: 1.4; }
img, svg { max-width: 100%; height: auto; background: white; } figure { margin: 1rem 0; }
figcaption, .note { font-size: .88rem; opacity: .8; }
.plus { color: var(--good); } .minus { color: var(--bad); }
"""


@dataclass
class ReportedRun:
    """A run as the report sees it.

    Attributes:
        log (RunLog): Its scalars.
        folder (Path): Its work directory.
        config (str): The config that it was started with, as text; '' where none is kept.
        seed (str): '?' where the config does not say.
    """

    log: RunLog
    folder: Path
    config: str
    seed: str

    @property
    def name(self) -> str:
        """As in the tables."""
        return self.log.name


def load_run(path: str | Path, name: str = '') -> ReportedRun:
    """Read a work directory.

    Raises:
        FileNotFoundError, ValueError: If it holds no log.
    """
    folder = Path(path)
    log = read_run(folder, name)
    folder = folder.parent if folder.is_file() else folder
    configs = sorted(folder.glob('*/vis_data/config.py')) or sorted(folder.glob('*.py'))
    text, seed = '', '?'
    if configs:
        cfg = Config.fromfile(configs[-1], import_custom_modules=False)
        seed = str((cfg.get('randomness') or {}).get('seed', '?'))
        cfg.pop('work_dir', None)  # differs always, and says nothing
        # A dumped config is one line per list; pretty_text breaks it, which a comparison by lines needs.
        text = cfg.pretty_text
    return ReportedRun(log, folder, text, seed)


def write_report(runs: Sequence[ReportedRun], out: str | Path, title: str = '') -> Path:
    """Write the page. The first run is what the others are compared with.

    Args:
        runs (Sequence[ReportedRun]): At least one.
        out (str | Path): The ``.html`` file; its folder is made.
        title (str): Heading. Defaults to '': the names of the runs.

    Returns:
        Path: ``out``.

    Raises:
        ValueError: If ``out`` is no HTML file.
    """
    out = Path(out)
    if out.suffix not in ('.html', '.htm'):
        raise ValueError(f'--out={str(out)!r} is no HTML file; give a name that ends with .html')
    heading = title or ' and '.join(run.name for run in runs)
    parts = [
        f'<h1>{escape(heading)}</h1>',
        _section(
            'Results', results_table(runs) + _note('The last evaluation of each run; none is chosen by its value.')
        ),
        _section('By class', class_table(runs)),
        _section('Cost', cost_table(runs)),
        _section('Curves', _figure(draw_curves(runs)) + left_out(runs)),
        *[_section(f'What {run.name} changes in the config', config_diff(runs[0], run)) for run in runs[1:]],
        *[_section(f'Pictures of {run.name}', pictures(run.folder)) for run in runs],
    ]
    if len(runs) == 1:
        parts.append(_section('Config', f'<pre>{escape(runs[0].config)}</pre>' if runs[0].config else ''))
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(heading)}</title><style>{STYLE}</style></head>\n<body>\n' + '\n'.join(filter(None, parts))
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page + '\n</body></html>\n')
    return out


def results_table(runs: Sequence[ReportedRun]) -> str:
    """All metrics of the last evaluations, with differences to the first run."""
    names = [name for name in _metrics(runs) if not name.endswith(_CLASS_SUFFIX)]
    if not names:
        return ''
    rows = [['seed', *(run.seed for run in runs)]]
    rows += [['evaluated after', *(_progress(run.log) for run in runs)]]
    rows += [[name, *_compared([_last(run.log, name) for run in runs], less=smaller_is_better(name))] for name in names]
    return _table(['', *(run.name for run in runs)], rows)


def class_table(runs: Sequence[ReportedRun]) -> str:
    """AP of each class, where the runs have logged it."""
    names = [name for name in _metrics(runs) if name.endswith(_CLASS_SUFFIX)]
    if not names:
        if not any(name.startswith('coco/') for name in _metrics(runs)):
            return ''
        return _note('Not logged. val_evaluator=dict(classwise=True) in the config makes mmdet log it.')
    rows = [
        [
            escape(name.rpartition('/')[2].removesuffix(_CLASS_SUFFIX)),
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
    hours = [step * count / 60 if step and count else None for step, count in zip(steps, iterations, strict=True)]
    rows.append(['minutes in training steps', *_compared(hours, ratio=True)])
    memory = [float(run.log.series('memory')[1].max()) if len(run.log.series('memory')[1]) else None for run in runs]
    if any(memory):
        rows.append(['GPU memory, MiB', *_compared(memory, ratio=True)])
    extra = [_last(run.log, 'cds_extra_time') for run in runs]
    if any(extra):
        rows.append(['of a step, forward pass of the contrast, s', *(f'{x:.3f}' if x else '' for x in extra)])
    return _table(['', *(run.name for run in runs)], rows)


def draw_curves(runs: Sequence[ReportedRun]) -> Figure:
    """Metrics and losses, as tools/analysis/curves.py draws them, as many as fit."""
    logs = [run.log for run in runs]
    metrics = [name for name in choose_metrics(logs) if not name.endswith(_CLASS_SUFFIX)][:4]
    return plot_runs(logs, metrics, choose_losses(logs)[: MAX_PANELS - len(metrics)])


def left_out(runs: Sequence[ReportedRun]) -> str:
    """A note about losses for which the figure has no room."""
    logs = [run.log for run in runs]
    metrics = [name for name in choose_metrics(logs) if not name.endswith(_CLASS_SUFFIX)][:4]
    names = choose_losses(logs)[MAX_PANELS - len(metrics) :]
    said = f'Not drawn: {", ".join(map(escape, names))} (tools/analysis/curves.py --losses draws them).'
    return _note(said) if names else ''


def config_diff(base: ReportedRun, other: ReportedRun) -> str:
    """The lines of two configs that differ, with their neighbours."""
    if not base.config or not other.config:
        return _note('A run has kept no config.')
    lines = list(
        difflib.unified_diff(
            base.config.splitlines(), other.config.splitlines(), base.name, other.name, n=2, lineterm=''
        )
    )
    if not lines:
        return _note('Nothing.')
    shown = []
    for line in lines:
        kind = {'+': 'plus', '-': 'minus'}.get(line[:1], '')
        shown.append(f'<span class="{kind}">{escape(line)}</span>' if kind else escape(line))
    return '<pre>' + '\n'.join(shown) + '</pre>'


def pictures(folder: Path) -> str:
    """Pictures that lie in a work directory, taken into the page."""
    found = sorted(path for path in folder.rglob('*') if path.suffix.lower() in _PICTURES and path.is_file())
    small = [path for path in found if path.stat().st_size <= MAX_PICTURE_BYTES]
    parts = []
    for path in small[:MAX_PICTURES]:
        data = base64.b64encode(path.read_bytes()).decode()
        name = escape(str(path.relative_to(folder)))
        source = f'data:{_PICTURES[path.suffix.lower()]};base64,{data}'
        parts.append(f'<figure><img src="{source}" alt="{name}"><figcaption>{name}</figcaption></figure>')
    if len(found) > len(parts):
        parts.append(_note(f'{len(found) - len(parts)} more pictures lie in {escape(str(folder))}.'))
    return '\n'.join(parts)


def _metrics(runs: Sequence[ReportedRun]) -> list[str]:
    return list(dict.fromkeys(key for run in runs for each in run.log.val for key in each if key not in _NO_METRIC))


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
    """Values with what they differ by from the first one; of costs, and where asked, less is better."""
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


def _figure(figure: Figure) -> str:
    buffer = io.StringIO()
    # Letters stay letters, so that the page can be searched and is a tenth of the size.
    with matplotlib.rc_context({'svg.fonttype': 'none'}):
        figure.savefig(buffer, format='svg')
    text = buffer.getvalue()
    return f'<figure>{text[text.index("<svg") :]}</figure>'


def _note(text: str) -> str:
    return f'<p class="note">{text}</p>'


def _section(title: str, content: str) -> str:
    return f'<h2>{escape(title)}</h2>\n{content}' if content else ''
