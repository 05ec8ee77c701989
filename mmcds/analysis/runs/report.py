"""Self-contained HTML report of one run, or of several side by side."""

import base64
import difflib
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from mmengine.config import Config

from mmcds.analysis.pictures.fonts import use_fonts

from .curves import MAX_PANELS, choose_losses, choose_metrics, plot_runs
from .report_tables import CLASS_SUFFIX, ReportedRun, class_table, cost_table, note, results_table
from .run_log import RunLog, read_run

#: Pictures of a run that are taken into the page, and the size in bytes that one may have.
MAX_PICTURES, MAX_PICTURE_BYTES = 8, 4 * 2**20
_PICTURES = {'.png': 'image/png', '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg'}

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


def load_run(path: str | Path, name: str = '') -> ReportedRun:
    """Read a work directory.

    Raises:
        FileNotFoundError, ValueError: If it holds no log.
    """
    folder = Path(path)
    log = read_run(folder, name)
    folder = folder.parent if folder.is_file() else folder
    if not log.config:
        beside = sorted(folder.glob('*.py'))
        log.config = Config.fromfile(beside[-1], import_custom_modules=False) if beside else log.config
    text = ''
    if log.config:
        log.config.pop('work_dir', None)  # differs always, and says nothing
        # A dumped config is one line per list; pretty_text breaks it, which a comparison by lines needs.
        text = log.config.pretty_text
    return ReportedRun(log, folder, text)


def write_report(runs: Sequence[ReportedRun], out: str | Path, title: str = '') -> Path:
    """Write the page. The other runs are compared with the first.

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
            'Results', results_table(runs) + note('The last evaluation of each run; none is chosen by its value.')
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
    out.write_text(page + '\n</body></html>\n', encoding='utf-8')
    return out


def draw_curves(runs: Sequence[ReportedRun]) -> Figure:
    """Figure of metrics and losses as by tools/analysis/curves.py, as many as fit."""
    logs = [run.log for run in runs]
    metrics = _drawn_metrics(logs)
    return plot_runs(logs, metrics, choose_losses(logs)[: MAX_PANELS - len(metrics)])


def left_out(runs: Sequence[ReportedRun]) -> str:
    """A note about losses for which the figure has no room."""
    logs = [run.log for run in runs]
    names = choose_losses(logs)[MAX_PANELS - len(_drawn_metrics(logs)) :]
    said = f'Not drawn: {", ".join(map(escape, names))} (tools/analysis/curves.py --losses draws them).'
    return note(said) if names else ''


def config_diff(base: ReportedRun, other: ReportedRun) -> str:
    """The lines of two configs that differ, with their neighbours."""
    if not base.config or not other.config:
        return note('A run has kept no config.')
    lines = list(
        difflib.unified_diff(
            base.config.splitlines(), other.config.splitlines(), base.name, other.name, n=2, lineterm=''
        )
    )
    if not lines:
        return note('Nothing.')
    shown = []
    for line in lines:
        kind = {'+': 'plus', '-': 'minus'}.get(line[:1], '')
        shown.append(f'<span class="{kind}">{escape(line)}</span>' if kind else escape(line))
    return '<pre>' + '\n'.join(shown) + '</pre>'


def pictures(folder: Path) -> str:
    """Pictures of a work directory, embedded in the page."""
    found = sorted(path for path in folder.rglob('*') if path.suffix.lower() in _PICTURES and path.is_file())
    small = [path for path in found if path.stat().st_size <= MAX_PICTURE_BYTES]
    parts = []
    for path in small[:MAX_PICTURES]:
        data = base64.b64encode(path.read_bytes()).decode()
        name = escape(str(path.relative_to(folder)))
        source = f'data:{_PICTURES[path.suffix.lower()]};base64,{data}'
        parts.append(f'<figure><img src="{source}" alt="{name}"><figcaption>{name}</figcaption></figure>')
    if len(found) > len(parts):
        parts.append(note(f'{len(found) - len(parts)} more pictures lie in {escape(str(folder))}.'))
    return '\n'.join(parts)


def _drawn_metrics(logs: Sequence[RunLog]) -> list[str]:
    return [name for name in choose_metrics(logs) if not name.endswith(CLASS_SUFFIX)][:4]


def _figure(figure: Figure) -> str:
    buffer = io.StringIO()
    use_fonts(figure)
    # Letters stay letters, so that the page can be searched and is a tenth of the size.
    with matplotlib.rc_context({'svg.fonttype': 'none'}):
        figure.savefig(buffer, format='svg')
    text = buffer.getvalue()
    return f'<figure>{text[text.index("<svg") :]}</figure>'


def _section(title: str, content: str) -> str:
    return f'<h2>{escape(title)}</h2>\n{content}' if content else ''
