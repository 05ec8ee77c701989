"""Losses and metrics of one or several runs in one figure."""

import re
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .run_log import RunLog, metric_names, running_mean

# Okabe and Ito's colours: told apart by colour-blind readers too.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000', '#8C6D31')
DEFAULT_METRICS = (
    'coco/bbox_mAP',
    'coco/bbox_mAP_50',
    'coco/segm_mAP',
    'coco/segm_mAP_50',
    'accuracy/top1',
    'accuracy/top5',
)
MAX_PANELS = 16
_COLUMNS = 4


def choose_metrics(runs: Sequence[RunLog], pattern: str | None = None) -> list[str]:
    """Names of the metrics to draw.

    Args:
        runs (Sequence[RunLog]): The runs.
        pattern (str, optional): Regular expression, searched for in the names. If None, AP and AP50 or the
            top-1 and top-5 accuracy; where none of these was logged, every metric. Defaults to None.

    Returns:
        list[str]: Names that at least one run logged.

    Raises:
        ValueError: If nothing matches ``pattern``.
    """
    names = metric_names(runs)
    if pattern is not None:
        return _matching('metrics', pattern, names)
    return [name for name in DEFAULT_METRICS if name in names] or names


def choose_losses(runs: Sequence[RunLog], pattern: str | None = None) -> list[str]:
    """Names of the losses to draw: the total, then those of contrastive supervision, then the others.

    Args:
        runs (Sequence[RunLog]): The runs.
        pattern (str, optional): Regular expression, searched for in the names. If None, all but those of
            a transformer decoder's intermediate layers (``d0.loss_cls``, ...). Defaults to None.

    Returns:
        list[str]: Names that at least one run logged.

    Raises:
        ValueError: If nothing matches ``pattern``.
    """
    names = list(dict.fromkeys(k for run in runs for r in run.train for k in r if 'loss' in k))
    if pattern is not None:
        return _matching('losses', pattern, names)
    shown = [name for name in names if not re.match(r'd\d+\.', name)]
    return sorted(shown, key=lambda name: (name != 'loss', not name.startswith('loss_cds')))


def plot_runs(
    runs: Sequence[RunLog],
    metrics: Sequence[str],
    losses: Sequence[str],
    smooth: int = 5,
    title: str = '',
) -> Figure:
    """Draw every metric and every loss in a panel of its own, with one colour per run.

    Args:
        runs (Sequence[RunLog]): The runs, at least one.
        metrics (Sequence[str]): Names of metrics, drawn over epochs (iterations for an iteration-based
            run); the best value of each run is marked and written down. What is best where it
            is smallest says :func:`smaller_is_better`.
        losses (Sequence[str]): Names of losses, drawn over iterations. Together with the metrics no more
            than 16.
        smooth (int): Number of logged values in the bold running mean of the losses. Defaults to 5.
        title (str): Title of the figure. Defaults to '' (none).

    Returns:
        Figure: To be saved by the caller.

    Raises:
        ValueError: If there is nothing to draw, or too much.
    """
    panels = [*metrics, *losses]
    if not runs or not panels:
        raise ValueError('nothing to draw: no run, or no metric and no loss was logged')
    if len(panels) > MAX_PANELS:
        raise ValueError(
            f'{len(panels)} panels are more than {MAX_PANELS}; choose with the patterns of losses '
            f'and metrics among {", ".join(panels)}'
        )
    columns = min(_COLUMNS, len(panels)) if len(panels) != 5 else 3
    rows = -(-len(panels) // columns)
    style = {'font.size': 9, 'axes.spines.top': False, 'axes.spines.right': False, 'axes.titlesize': 10}
    with matplotlib.rc_context(style):
        # Not pyplot's: such a figure needs no display and is freed with its last reference.
        figure = Figure(figsize=(3.4 * columns, 2.6 * rows + 0.7), layout='constrained')
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis, name in zip(axes.flat, panels, strict=False):
            if name in metrics:
                _metric_panel(axis, runs, name)
            else:
                _loss_panel(axis, runs, name, smooth)
        for axis in axes.flat[len(panels) :]:
            axis.set_axis_off()
        _legend(figure, runs, smooth if losses else 1, title)
    return figure


#: Metrics of mmdet that count mistakes: CrowdHuman's miss rate, and those of tracking.
MISTAKES = ('mmr', 'idsw', 'idfn', 'idfp', 'fp', 'fn', 'frag', 'ml')


def smaller_is_better(name: str) -> bool:
    """Whether a smaller value of a metric is better: errors, mistakes, losses and calibration."""
    name = name.lower()
    parts = ('error', 'loss', '/ece', '/mce', 'nll', 'brier')
    return name.rpartition('/')[2] in MISTAKES or any(part in name for part in parts)


def _metric_panel(axis: Axes, runs: Sequence[RunLog], name: str) -> None:
    less = smaller_is_better(name)
    notes = []
    for index, run in enumerate(runs):
        steps, values = run.series(name)
        colour = COLOURS[index % len(COLOURS)]
        unit = 'epoch' if run.by_epoch else 'iteration'
        axis.plot(steps, values, color=colour, marker='o', markersize=3, linewidth=1.6)
        finite = np.flatnonzero(np.isfinite(values))
        if len(finite):
            best = finite[np.argmin(values[finite]) if less else np.argmax(values[finite])]
            axis.plot(steps[best], values[best], marker='*', markersize=11, color=colour, zorder=3)
            notes.append((f'best {values[best]:.3f} ({unit} {steps[best]:.0f})', colour))
    axis.set_title(_metric_title(name))
    axis.set_xlabel('epoch' if all(run.by_epoch for run in runs) else 'iteration')
    low, high = axis.get_xlim()
    if high - low < 2:  # one evaluation, however wide matplotlib makes it
        axis.set_xlim((low + high) / 2 - 1, (low + high) / 2 + 1)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axis.grid(alpha=0.25)
    _write_notes(axis, notes, bottom=not less)


def _loss_panel(axis: Axes, runs: Sequence[RunLog], name: str, smooth: int) -> None:
    notes, drawn = [], []
    for index, run in enumerate(runs):
        steps, values = run.series(name)
        if not len(steps):
            continue
        colour = COLOURS[index % len(COLOURS)]
        mean = running_mean(values, smooth)
        if smooth > 1:
            axis.plot(steps, values, color=colour, alpha=0.35, linewidth=0.8)
        axis.plot(steps, mean, color=colour, linewidth=1.6)
        drawn.append(values[np.isfinite(values)])
        if not np.isfinite(values).all():
            first = steps[np.flatnonzero(~np.isfinite(values))[0]]
            notes.append((f'not finite from iteration {first:.0f}', colour))
    together = np.concatenate(drawn) if drawn else np.array([])
    # Where the first values dwarf the rest, a linear axis would show a flat line.
    if len(together) and together.min() > 0 and together.max() > 20 * np.median(together):
        axis.set_yscale('log')
    elif len(together) and together.min() >= 0:
        axis.set_ylim(bottom=0)
    axis.set_title(name)
    axis.set_xlabel('iteration')
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axis.grid(alpha=0.25)
    _write_notes(axis, notes, bottom=False)


def _write_notes(axis: Axes, notes: list[tuple[str, str]], bottom: bool) -> None:
    shown = notes[:6]
    for line, (text, colour) in enumerate(reversed(shown) if bottom else shown):
        axis.annotate(
            text,
            (1, 0 if bottom else 1),
            xytext=(-4, (4 + 11 * line) if bottom else -(4 + 11 * line)),
            xycoords='axes fraction',
            textcoords='offset points',
            ha='right',
            va='bottom' if bottom else 'top',
            color=colour,
            fontsize=8,
            bbox={'facecolor': 'white', 'alpha': 0.7, 'edgecolor': 'none', 'pad': 0.8},
        )


def _legend(figure: Figure, runs: Sequence[RunLog], smooth: int, title: str) -> None:
    handles = [
        Line2D([], [], color=COLOURS[i % len(COLOURS)], linewidth=2, label=run.name) for i, run in enumerate(runs)
    ]
    # The legend carries the title: two things outside the panels would be drawn over each other.
    columns = 3 if max(len(run.name) for run in runs) > 25 else 4
    figure.legend(
        handles=handles,
        loc='outside upper center',
        ncols=min(len(runs), columns),
        frameon=False,
        title=title or None,
        title_fontsize=12,
    )
    if smooth > 1:
        note = f'losses: thin as logged, bold the mean of {smooth | 1} neighbouring values'
        figure.supxlabel(note, fontsize=8, color='0.4')


def _metric_title(name: str) -> str:
    known = {'coco/bbox_mAP': 'box AP', 'coco/segm_mAP': 'mask AP'}
    for key, title in known.items():
        if re.fullmatch(rf'{key}(_\w+)?', name):
            return title + name.removeprefix(key).replace('_', '')
    return name


def _matching(what: str, pattern: str, names: list[str]) -> list[str]:
    try:
        found = [name for name in names if re.search(pattern, name)]
    except re.error as error:
        raise ValueError(f"{what}='{pattern}' is not a regular expression ({error})") from error
    if not found:
        raise ValueError(f"{what}='{pattern}' matches none of {', '.join(names) or 'no names at all'}")
    return found
