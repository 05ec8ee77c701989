"""Two-dimensional maps of embeddings, coloured by class, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmcds.utils.errors import unknown_name
from mmcds.utils.extras import need_analysis

METHODS = ('pca', 'tsne', 'umap')
#: Colours before they repeat with another marker.
_COLOURS = 10
_MARKERS = 'o^sDvP*X<>'


@dataclass
class Panel:
    """One map.

    Attributes:
        title (str): Above it.
        points (np.ndarray): (M, 2), floating.
        labels (np.ndarray): Class of each point (M,), integers.
        note (str): Under it. Defaults to ''.
    """

    title: str
    points: np.ndarray
    labels: np.ndarray
    note: str = ''


def reduce_to_plane(rows: np.ndarray, method: str = 'tsne', seed: int = 0) -> np.ndarray:
    """Bring rows to two dimensions.

    Args:
        rows (np.ndarray): (M, D), floating, M >= 4.
        method (str): 'pca', 'tsne' (scikit-learn's) or 'umap' (umap-learn's, an optional package). Defaults to 'tsne'.
        seed (int): Of the random numbers of the latter two. Defaults to 0.

    Returns:
        np.ndarray: (M, 2), float64.

    Raises:
        ValueError: If the method is not known, or there are too few rows.
        ImportError: If scikit-learn, or for 'umap' umap-learn, is not installed.
    """
    if method not in METHODS:
        raise unknown_name('method', method, METHODS)
    if len(rows) < 4:
        raise ValueError(f'{len(rows)} rows are too few for a map; give at least 4 (--max-images)')
    if method != 'umap':
        need_analysis('sklearn')
    if method == 'pca':
        from sklearn.decomposition import PCA  # type: ignore[import-untyped]

        return np.asarray(PCA(2, random_state=seed).fit_transform(rows), dtype=np.float64)
    if method == 'tsne':
        from sklearn.manifold import TSNE  # type: ignore[import-untyped]

        # The perplexity has to be below the number of rows; 30 is scikit-learn's.
        perplexity = min(30.0, (len(rows) - 1) / 3)
        tsne = TSNE(2, perplexity=perplexity, init='pca', random_state=seed)
        return np.asarray(tsne.fit_transform(rows), dtype=np.float64)
    try:
        from umap import UMAP
    except ImportError as error:
        raise ImportError(
            "method='umap' needs umap-learn, which is not installed; pip install -r requirements/optional.txt, "
            "or take 'tsne' or 'pca'"
        ) from error
    return np.asarray(UMAP(n_components=2, random_state=seed).fit_transform(rows), dtype=np.float64)


def draw_maps(panels: Sequence[Sequence[Panel]], classes: Sequence[str], title: str = '') -> Figure:
    """Draw maps: one row per model, one column per tap.

    Args:
        panels (Sequence[Sequence[Panel]]): Rows of panels, of one length.
        classes (Sequence[str]): Names of the classes, for the legend.
        title (str): Of the figure. Defaults to ''.

    Returns:
        Figure: To be saved by the caller.
    """
    rows, columns = len(panels), max(len(row) for row in panels)
    figure = Figure(figsize=(3.1 * columns + 1.6, 3.1 * rows + 0.7), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False)
    seen: dict[int, Any] = {}
    for line, row in zip(axes, panels, strict=True):
        for axis, panel in zip(line, row, strict=False):
            for label in np.unique(panel.labels).tolist():
                mine = panel.points[panel.labels == label]
                marker = _MARKERS[label // _COLOURS % len(_MARKERS)]
                style = {'color': f'C{label % _COLOURS}', 'marker': marker, 'linewidths': 0}
                seen[label] = axis.scatter(mine[:, 0], mine[:, 1], s=14, alpha=0.6, **style)
            axis.set(title=panel.title, xticks=[], yticks=[])
            axis.set_xlabel(panel.note, fontsize=8)
        for axis in line[len(row) :]:
            axis.set_axis_off()
    labels = sorted(seen)
    if len(labels) <= 2 * _COLOURS:
        names = [classes[label] if label < len(classes) else str(label) for label in labels]
        figure.legend([seen[label] for label in labels], names, loc='outside right upper', fontsize='small')
    figure.suptitle(title, fontsize=11)
    return figure


def farthest_points(points: np.ndarray, count: int) -> list[int]:
    """Places of points that lie far from each other, to be shown by their crops.

    Args:
        points (np.ndarray): (M, 2).
        count (int): How many, >= 1; all where there are fewer.

    Returns:
        list[int]: The first is that nearest the middle, each other one that farthest from those before.
    """
    chosen = [int(np.square(points - points.mean(0)).sum(1).argmin())]
    distance = np.square(points - points[chosen[0]]).sum(1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.square(points - points[chosen[-1]]).sum(1))
    return chosen


def draw_crops(panel: Panel, crops: dict[int, np.ndarray], classes: Sequence[str]) -> Figure:
    """Draw one map large, with the crops of chosen points on it.

    Args:
        panel (Panel): The map.
        crops (dict[int, np.ndarray]): By the point's place, (h, w, 3) uint8 RGB.
        classes (Sequence[str]): Names of the classes, for the legend.

    Returns:
        Figure: To be saved by the caller.
    """
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    figure = draw_maps([[panel]], classes)
    figure.set_size_inches(10, 8)
    axis = figure.axes[0]
    for place, crop in crops.items():
        picture = OffsetImage(crop, zoom=36 / max(crop.shape[:2]))
        colour = f'C{int(panel.labels[place]) % _COLOURS}'
        axis.add_artist(AnnotationBbox(picture, panel.points[place], pad=0.1, bboxprops={'edgecolor': colour, 'lw': 2}))
    return figure
