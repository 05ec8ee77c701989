"""Compares how the data sets of a config number their classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LabelOrder:
    """Numbering of the classes of one data set.

    Attributes:
        where (str): The data set's place in the config, ``'val_dataloader.dataset'``.
        source (str): The file or folder whose order decides.
        names (tuple[str, ...]): The name of label 0, 1, ...
    """

    where: str
    source: str
    names: tuple[str, ...]

    def numbers(self, fold: Callable[[str], str] = str) -> dict[str, int]:
        """The label of each name."""
        return {fold(name): label for label, name in enumerate(self.names)}


def contradiction(order: LabelOrder, reference: LabelOrder) -> str:
    """Message that names a class with another label in ``reference``; '' if there is none.

    Names that only one of them has are not compared. Capitals do not count, unless they distinguish two classes.

    Args:
        order (LabelOrder): Of one data set.
        reference (LabelOrder): Of another.
    """
    folded = all(len(each.numbers(_fold)) == len(each.names) for each in (order, reference))
    fold: Callable[[str], str] = _fold if folded else str
    numbers = reference.numbers(fold)
    for label, name in enumerate(order.names):
        other = numbers.get(fold(name), label)
        if other != label:
            return (
                f"'{name}' is label {other} in {reference.where} ('{reference.source}') but label {label} in "
                f"{order.where} ('{order.source}')"
            )
    return ''


def _fold(name: str) -> str:
    return str(name).casefold().strip()


def listed(names: Sequence[str], quoted: bool = False, at_most: int = 10) -> str:
    """The first names in one line, with the number of the others."""
    shown = [f"'{name}'" if quoted else str(name) for name in names[:at_most]]
    more = len(names) - at_most
    tail = f', ... {more} more' if more > 0 else ',' if quoted and len(names) == 1 else ''
    return ', '.join(shown) + tail
