"""k nearest neighbours and a linear classifier on features that stay as they are."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from mmcds.utils.errors import check_count
from mmcds.utils.extras import need_analysis

from .tap_features import TapFeatures


@dataclass(frozen=True)
class Probe:
    """Accuracy of simple classifiers on one tap.

    Attributes:
        tap (str): 'backbone.2'.
        kind (str): 'feature' or 'embedding'.
        width (int): Numbers per row.
        knn (float): Accuracy of the nearest neighbours, in percent.
        linear (float): Accuracy of the linear classifier, in percent.
        converged (bool): Whether its fit did; if not, more iterations may find more.
    """

    tap: str
    kind: str
    width: int
    knn: float
    linear: float
    converged: bool


def knn_accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray, k: int = 20
) -> float:
    """Accuracy of a vote of the k nearest training rows by cosine distance, all of one weight.

    Args:
        train (np.ndarray): (M, C), floating.
        train_labels (np.ndarray): (M,), integers.
        test (np.ndarray): (T, C).
        test_labels (np.ndarray): (T,).
        k (int): Neighbours, >= 1; all rows where there are fewer. Defaults to 20.

    Returns:
        float: In percent.
    """
    need_analysis('sklearn')
    from sklearn.neighbors import KNeighborsClassifier  # type: ignore[import-untyped]

    voters = KNeighborsClassifier(min(check_count('k', k, 1), len(train)), metric='cosine', algorithm='brute')
    return 100 * float(voters.fit(train, train_labels).score(test, test_labels))


def linear_accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray, max_iter: int = 500
) -> tuple[float, bool]:
    """Accuracy of a logistic regression on features of mean 0 and variance 1 (those of ``train``).

    Args:
        train (np.ndarray): (M, C), floating, of at least two classes.
        train_labels (np.ndarray): (M,), integers.
        test (np.ndarray): (T, C).
        test_labels (np.ndarray): (T,).
        max_iter (int): Iterations of L-BFGS, >= 1. Defaults to 500.

    Returns:
        tuple[float, bool]: Accuracy in percent, and whether the fit converged.
    """
    need_analysis('sklearn')
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

    scaler = StandardScaler().fit(train)
    classifier = LogisticRegression(max_iter=check_count('max_iter', max_iter, 1))
    with warnings.catch_warnings():
        # Said by the second value.
        warnings.simplefilter('ignore', ConvergenceWarning)
        classifier.fit(scaler.transform(train), train_labels)
    accuracy = classifier.score(scaler.transform(test), test_labels)
    return 100 * float(accuracy), bool(classifier.n_iter_.max() < max_iter)


def probe_all(train: TapFeatures, test: TapFeatures, k: int = 20) -> Iterator[Probe]:
    """Probe every tap, its feature and, where there is one, its embedding.

    Args:
        train (TapFeatures): What the classifiers learn from.
        test (TapFeatures): What they are asked.
        k (int): Neighbours, >= 1. Defaults to 20.

    Yields:
        Probe: In the order of the taps.

    Raises:
        ValueError: If the training rows have a single class, or a tap's features are not finite.
    """
    for tap, kind in jobs(train):
        pair = [getattr(part, f'{kind}s')[tap] for part in (train, test)]
        x, x_test = (_finite(tap, kind, each) for each in pair)
        y, y_test = train.labels.numpy(), test.labels.numpy()
        if len(np.unique(y)) < 2:
            raise ValueError(
                f'the {len(y)} training rows are all of class {y[0]}; probe with more of them (--max-train)'
            )
        linear, converged = linear_accuracy(x, y, x_test, y_test)
        yield Probe(tap, kind, x.shape[1], knn_accuracy(x, y, x_test, y_test, k), linear, converged)


def jobs(features: TapFeatures) -> list[tuple[str, str]]:
    """Tap and kind of each feature that can be probed."""
    return [
        (tap, kind)
        for tap in features.features
        for kind, found in (('feature', features.features), ('embedding', features.embeddings))
        if tap in found
    ]


def majority(train_labels: Tensor, test_labels: Tensor) -> float:
    """Accuracy of always saying the most frequent class of the training rows, in percent."""
    return 100 * float((test_labels == train_labels.mode().values).float().mean())


def table(probes: Sequence[Probe], about: Mapping[str, Any], k: int) -> str:
    """A Markdown table of probes.

    Args:
        probes (Sequence[Probe]): Its rows.
        about (Mapping): 'train', 'test', 'classes', 'skipped' and 'majority', of :func:`probe_checkpoint`.
        k (int): Neighbours.
    """
    head = ['tap', 'of', 'width', f'{k}-NN %', 'linear %']
    rows = [
        [each.tap, each.kind, str(each.width), f'{each.knn:.2f}', f'{each.linear:.2f}{"" if each.converged else " *"}']
        for each in probes
    ]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ['-' * width for width in widths], *rows]
    text = '\n'.join(
        '| ' + ' | '.join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + ' |' for line in lines
    )
    notes = [
        f'{about["train"]} training rows of {about["classes"]} classes, {about["test"]} test rows; '
        f'always saying the most frequent class: {about["majority"]:.2f} %'
    ]
    if about['skipped']:
        notes.append(f'{about["skipped"]} rows without a class or without area were left out')
    if not all(each.converged for each in probes):
        notes.append('*: the fit did not converge; more iterations may find more')
    return '\n'.join([text, *notes])


def _finite(tap: str, kind: str, rows: Tensor) -> np.ndarray:
    if not rows.isfinite().all():
        raise ValueError(f'{tap}: {int((~rows.isfinite()).any(1).sum())} {kind}s are not finite; has the run diverged?')
    return rows.numpy()
