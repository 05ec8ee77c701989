"""Reliability diagrams: accuracy over confidence, of several runs side by side."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mmcds.analysis.metrics.calibration import Reliability

# Of Okabe and Ito's colours, as in the curves.
_ACCURACY, _CONFIDENCE, _UNDER = '#0072B2', '#D55E00', '#009E73'
_MAX_RUNS = 6


def plot_reliability(runs: Sequence[tuple[str, Reliability]], title: str = '') -> Figure:
    """Draw, for each run, accuracy per bin of confidence with its gap to the diagonal, and a histogram below.

    Args:
        runs (Sequence[tuple[str, Reliability]]): Names and bins, one to six.
        title (str): Title of the figure. Defaults to '' (none).

    Returns:
        Figure: To be saved with :func:`mmcds.analysis.pictures.save.save_figure`.

    Raises:
        ValueError: If there is no run, or there are too many.
    """
    if not 1 <= len(runs) <= _MAX_RUNS:
        raise ValueError(f'{len(runs)} runs cannot be drawn side by side; give 1 to {_MAX_RUNS}')
    style = {'font.size': 9, 'axes.spines.top': False, 'axes.spines.right': False, 'axes.titlesize': 10}
    with matplotlib.rc_context(style):
        figure = Figure(
            figsize=(3.3 * len(runs) + 0.6, 5.0 + (0.3 if title else 0) + (0.5 if len(runs) == 1 else 0)),
            layout='constrained',
        )
        axes = figure.subplots(
            2, len(runs), squeeze=False, sharex=True, sharey='row', gridspec_kw={'height_ratios': [3, 1]}
        )
        for column, (name, bins) in enumerate(runs):
            _diagram(axes[0, column], name, bins)
            _histogram(axes[1, column], bins)
        axes[0, 0].set_ylabel('accuracy')
        axes[1, 0].set_ylabel('share of images')
        shown = [axis.get_legend_handles_labels() for axis in axes.flat]
        entries = {label: handle for handles, labels in shown for handle, label in zip(handles, labels, strict=True)}
        # The legend carries the title: two things outside the panels would be drawn over each other.
        figure.legend(
            list(entries.values()),
            list(entries),
            loc='outside upper center',
            ncols=2 if len(runs) == 1 else 3 if len(runs) == 2 else len(entries),
            frameon=False,
            title=title or None,
            title_fontsize=12,
        )
    return figure


def _edges(bins: Reliability) -> np.ndarray:
    return np.linspace(0, 1, len(bins.counts) + 1)


def _diagram(axis: Axes, name: str, bins: Reliability) -> None:
    edges, filled = _edges(bins), bins.counts > 0
    left, width = edges[:-1][filled], edges[1]
    accuracy, confidence = bins.accuracy[filled], bins.confidence[filled]
    shared = dict(width=width, align='edge')
    axis.bar(left, accuracy, color=_ACCURACY, edgecolor='white', linewidth=0.6, label='accuracy of a bin', **shared)
    for over, colour, label in ((True, _CONFIDENCE, 'overconfident by'), (False, _UNDER, 'underconfident by')):
        side = (confidence > accuracy) == over
        height = np.where(side, np.abs(confidence - accuracy), 0)
        light = tuple(1 - 0.35 * (1 - part) for part in to_rgb(colour))
        axis.bar(
            left,
            height,
            bottom=np.minimum(accuracy, confidence),
            facecolor=light,
            edgecolor=colour,
            linewidth=np.where(side, 0.6, 0),
            hatch='///' if over else '\\\\\\',
            label=label,
            **shared,
        )
    axis.plot([0, 1], [0, 1], color='0.2', linestyle='--', linewidth=1, label='perfect calibration')
    axis.set_title(f'{name}\nECE {bins.expected_error:.2f} %, top-1 {bins.top1:.2f} %')
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.set_axisbelow(True)
    axis.grid(alpha=0.25)


def _histogram(axis: Axes, bins: Reliability) -> None:
    edges, total = _edges(bins), bins.counts.sum()
    axis.bar(edges[:-1], bins.counts / total, edges[1], align='edge', color='0.7', edgecolor='white', linewidth=0.6)
    mean = float(np.nansum(bins.counts * bins.confidence) / total)
    axis.axvline(bins.top1 / 100, color=_ACCURACY, linewidth=1.8, label='mean accuracy')
    axis.axvline(mean, color=_CONFIDENCE, linewidth=1.8, linestyle=(0, (3, 1.5)), label='mean confidence')
    axis.set_xlabel('confidence')
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.grid(alpha=0.25)
    axis.set_axisbelow(True)
