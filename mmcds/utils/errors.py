"""Messages for a user's mistakes: the field, the value, the nearest valid names, the remedy."""

import math
from collections.abc import Iterable
from difflib import get_close_matches

_LISTED = 40  # valid names in a message; a backbone has hundreds of modules


def unknown_name(field: str, value: object, valid: Iterable[object], remedy: str = '') -> ValueError:
    """A ``ValueError`` for a name that is not among the valid ones.

    Args:
        field (str): The config field, as the user wrote it (``'neck.taps'``).
        value (object): What the user gave.
        valid (Iterable[object]): What would have been accepted; the nearest are named first.
        remedy (str): What to do about it. Defaults to '' (choose one of the valid names).

    Returns:
        ValueError: To be raised by the caller, so that the traceback ends where the check stands.
    """
    names = [str(name) for name in valid]
    near = get_close_matches(str(value), names, n=3, cutoff=0.5)
    listed = f'nearest: {", ".join(near)}; ' if near and len(names) > len(near) else ''
    remedy = f'; {remedy}' if remedy else ''
    others = f' and {len(names) - _LISTED} more' if len(names) > _LISTED else ''
    valid_names = f'{", ".join(names[:_LISTED]) or "none"}{others}'
    return ValueError(f'{field}={value!r} is not known; {listed}valid: {valid_names}{remedy}')


def check_count(field: str, value: int, low: int) -> int:
    """Return ``value`` if it is a whole number, ``low`` or more.

    Raises:
        ValueError: If it is not, naming the field and the least number.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f'{field}={value!r} is out of range; give a whole number, {low} or more')
    return value


def has_no_effect(field: str, value: object, reason: str, remedy: str) -> ValueError:
    """A ``ValueError`` for a setting that another one makes useless, to be raised by the caller."""
    return ValueError(f'{field}={value!r} has no effect with {reason}; {remedy}, or remove {field.rpartition(".")[2]}')


def check_flag(field: str, value: bool) -> bool:
    """Return ``value`` if it is a boolean.

    ``--cfg-options`` makes booleans of ``true`` and ``false`` only; ``off`` stays a string, which counts as true.

    Raises:
        ValueError: If it is not, naming the field.
    """
    if not isinstance(value, bool):
        raise ValueError(f'{field}={value!r} is neither True nor False; give one of them')
    return value


def check_range(field: str, value: float, low: float, high: float = math.inf, *, open_low: bool = False) -> float:
    """Return ``value`` if it is a finite number in ``[low, high]``, or ``(low, high]`` with ``open_low``.

    Raises:
        ValueError: If it is not, naming the field and the range.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not (low < value if open_low else low <= value) or value > high:
        left, right = '(' if open_low else '[', ']' if math.isfinite(high) else ')'
        raise ValueError(f'{field}={value!r} is out of range; give a number in {left}{low:g}, {high:g}{right}')
    return value
