"""The figure of a matrix: every arm's difference to its baseline, with its interval."""

from collections.abc import Sequence
from pathlib import Path


def draw_differences(bars: Sequence[tuple[str, float, float, int]], title: str, out: Path) -> None:
    """Draw one line per arm.

    Args:
        bars (Sequence[tuple[str, float, float, int]]): Label, mean difference, half of its 95 % interval (drawn from
            three pairs on) and number of pairs, from the top.
        title (str): What the axis says.
        out (Path): The PNG to write.
    """
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(7, 0.8 + 0.28 * len(bars)), layout='constrained')
    for place, (_, mean, half, pairs) in enumerate(reversed(bars)):
        # The interval of two pairs is so wide that all others would be points beside it.
        drawn = pairs > 2
        colour = ('tab:green' if mean > 0 else 'tab:red') if drawn and abs(mean) > half else 'tab:gray'
        panel.errorbar(mean, place, xerr=half if drawn else None, fmt='o', ms=4, color=colour, capsize=2)
    panel.axvline(0, color='black', lw=0.8)
    panel.set(yticks=range(len(bars)), xlabel=title)
    panel.set_yticklabels([f'{label} ({pairs})' for label, _, _, pairs in reversed(bars)], fontsize='small')
    panel.spines[['top', 'right']].set_visible(False)
    figure.savefig(out, dpi=120)
    plt.close(figure)
