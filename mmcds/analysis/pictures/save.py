"""Writing figures."""

import os
from pathlib import Path

from matplotlib.figure import Figure

from .fonts import use_fonts


def save_figure(figure: Figure, out: str | os.PathLike[str]) -> Path:
    """Write a figure at 130 dots per inch, with fonts that have the letters of its names.

    Args:
        figure (Figure): Any of matplotlib's.
        out (str | os.PathLike): Path ending in ``.png``, ``.svg`` or ``.pdf``; its folder is made.

    Returns:
        Path: ``out``.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    use_fonts(figure)
    figure.savefig(out, dpi=130)
    return out
