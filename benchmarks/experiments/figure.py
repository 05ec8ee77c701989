"""The figures of a matrix: every arm's difference to its baseline, and how that depends on something."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from mmcds.analysis.pictures.save import save_figure

#: Where on the x axis, mean, and s.d. over seeds, NaN for one.
Point = tuple[float, float, float]


def draw_differences(bars: Sequence[tuple[str, float, float, int]], title: str, out: Path, less: bool = False) -> None:
    """Draw one line per arm.

    Args:
        bars (Sequence[tuple[str, float, float, int]]): Label, mean difference, half of its 95 % interval (drawn from
            three pairs on) and number of pairs, from the top.
        title (str): What the axis says.
        out (Path): The PNG to write.
        less (bool): Whether a smaller value is better, and green. Defaults to False.
    """
    labels = [f'{label} ({pairs})' for label, _, _, pairs in reversed(bars)]
    # 4 inches for the lines, beside labels of 0.07 inches a letter.
    width = 4 + 0.07 * max(map(len, labels), default=0)
    figure = Figure(figsize=(width, 0.8 + 0.28 * len(bars)), layout='constrained')
    panel = figure.subplots()
    for place, (_, mean, half, pairs) in enumerate(reversed(bars)):
        # The interval of two pairs is so wide that all others would be points beside it.
        drawn = pairs > 2
        colour = ('tab:green' if (mean < 0) is less else 'tab:red') if drawn and abs(mean) > half else 'tab:gray'
        panel.errorbar(mean, place, xerr=half if drawn else None, fmt='o', ms=4, color=colour, capsize=2)
    panel.axvline(0, color='black', lw=0.8)
    panel.set(yticks=range(len(bars)), ylim=(-0.6, len(bars) - 0.4), xlabel=title)
    panel.set_yticklabels(labels, fontsize='small')
    panel.spines[['top', 'right']].set_visible(False)
    save_figure(figure, out)


def draw_curves(panels: Sequence[tuple[str, str, Mapping[str, Sequence[Point]]]], y: str, out: Path) -> None:
    """Draw a panel per curve, on logarithmic x axes with a tick at each point.

    Args:
        panels (Sequence[tuple[str, str, Mapping[str, Sequence[Point]]]]): Title, what is on the x axis, and the points
            of each line by its name.
        y (str): What is on the y axis.
        out (Path): The PNG to write.
    """
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(0.5 + 4 * columns, 3 * rows), layout='constrained')
    grid = figure.subplots(rows, columns, squeeze=False)
    for panel, (title, x, lines) in zip(grid.flat, panels, strict=False):
        for label, points in lines.items():
            where, means, spreads = zip(*points, strict=True)
            panel.errorbar(where, means, yerr=spreads, fmt='o-', ms=4, capsize=2, label=label)
        ticks = sorted({place for points in lines.values() for place, _, _ in points})
        panel.set_xscale('log')
        panel.set_xticks(ticks, [f'{tick:g}' for tick in ticks])
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set(title=title, xlabel=x, ylabel=y)
        # Beside the lines, wherever they go.
        panel.legend(frameon=False, loc='upper center', bbox_to_anchor=(0.5, -0.2), ncols=len(lines))
        panel.spines[['top', 'right']].set_visible(False)
    for panel in list(grid.flat)[len(panels) :]:
        panel.set_axis_off()
    save_figure(figure, out)
