"""Says in words why a stock model takes no step here."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

#: What the errors of mmdet and its packages look like, and what they mean.
MEANINGS = (
    (r'No module named \W([\w-]+)', 'needs the optional package {0}'),
    (r'requirements/(mm\w+)\.txt', 'needs the optional package {0}'),
    (r'Please install (\w+) (?:first|by)', 'needs the optional package {0}'),
    (r'pip install [\'"`]*(?!-)([\w-]+)', 'needs the optional package {0}'),
    (r'(\w+): implementation for device cpu not found', 'needs a GPU: mmcv has no {0} for the CPU'),
    (r'(\w+) is not in the \S+ registry', 'its package ships the config, but not its part {0}'),
    (r"'super' object has no attribute 'init_weights'", 'cannot be initialised without the download of its weights'),
    (r'Please train `detector` and `reid`', 'has no training step: it puts trained models together'),
)


def one_line(error: BaseException) -> str:
    """An exception as 'Type: message', without line breaks."""
    return f'{type(error).__name__}: {" ".join(str(error).split())}'


def explain(error: BaseException, model: Mapping[str, Any] | None = None) -> str:
    """What a stock model's error means.

    Args:
        error (BaseException): What it raised.
        model (Mapping, optional): Its config, that may name a download. Defaults to None.

    Returns:
        str: For example 'needs the optional package lap'; the error itself where it is not a known one.
    """
    scope = (model or {}).get('_scope_')
    if scope and find_spec(scope) is None:
        return f'needs the optional package {scope}'
    text = one_line(error)
    for pattern, meaning in MEANINGS:
        found = re.search(pattern, text)
        if found:
            language = (model or {}).get('language_model')
            download = f' and the download of {language["name"]}' if language else ''
            return meaning.format(*found.groups()) + download
    return text
