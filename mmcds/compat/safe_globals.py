"""Let mmengine 0.10 load its own checkpoints under torch 2.6 and newer."""

from __future__ import annotations

import importlib.util
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

#: The types of the numbers in a message hub: losses, counts, metrics.
_NUMBER_TYPES = (
    'bool',
    'uint8',
    'int8',
    'int16',
    'int32',
    'int64',
    'uint32',
    'uint64',
    'float16',
    'float32',
    'float64',
)


def allow_mmengine_checkpoints() -> bool:
    """Allow ``torch.load`` to read what mmengine's Runner puts into a checkpoint beside the weights.

    Since torch 2.6 ``torch.load`` reads nothing but tensors and plain containers unless told
    otherwise. mmengine 0.10.7 and older save the message hub's histories of losses and metrics too,
    do not tell it so, and hence cannot resume from their own checkpoints. This names those histories
    and numpy's numbers as safe, and nothing else: ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1``, the other
    way out, lets a checkpoint run any code.

    Nothing is changed where it is not needed: an older torch, an mmengine that says what it wants
    (0.11, the onedl fork), a user who has lifted the restriction. Calling it again does nothing.

    Returns:
        bool: Whether the installed mmengine needs it and may now load its checkpoints.
    """
    if not _is_needed():
        return False
    torch.serialization.add_safe_globals(mmengine_safe_globals())
    return True


def mmengine_safe_globals() -> list[Any]:
    """What a checkpoint of mmengine's Runner names, beside what ``torch.load`` reads by itself.

    Returns:
        list: Entries for ``torch.serialization.add_safe_globals``: a callable, or a callable and the
        name that it goes by in the file.
    """
    from mmengine.logging import HistoryBuffer

    reconstruct, scalar = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
    entries: list[Any] = [HistoryBuffer, np.ndarray, np.dtype]
    entries += [type(np.dtype(name)) for name in _NUMBER_TYPES]
    # Both names: a file written beside numpy 1 may be read beside numpy 2, and the other way round.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        entries += [(reconstruct, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    # A method is pickled as getattr(class, name); getattr itself would open the door to everything.
    entries.append((history_method, 'builtins.getattr'))
    return entries


def history_method(owner: Any, name: str) -> Any:
    """Stand in for ``getattr`` while a checkpoint is read: public methods of ``HistoryBuffer`` only.

    Args:
        owner (Any): Must be the class ``HistoryBuffer``.
        name (str): Name of a public method of it.

    Returns:
        Callable: The method.

    Raises:
        pickle.UnpicklingError: On anything else.
    """
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name.startswith('_') or not hasattr(HistoryBuffer, name):
        raise pickle.UnpicklingError(
            f'the checkpoint asks for attribute {name!r} of {owner!r}, which no checkpoint of mmengine does; '
            'do not load it unless you know who wrote it'
        )
    return getattr(HistoryBuffer, name)


def _is_needed() -> bool:
    if os.environ.get('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '').lower() in ('1', 'y', 'yes', 'true'):
        return False
    if tuple(int(part) for part in torch.__version__.split('.')[:2]) < (2, 6):
        return False
    # Its loader's text and not its version: the onedl fork's 0.10 says what it wants, upstream's does not.
    spec = importlib.util.find_spec('mmengine')
    folders = (spec.submodule_search_locations or []) if spec else []
    loaders = [Path(folder) / 'runner' / 'checkpoint.py' for folder in folders]
    return any('weights_only' not in path.read_text(encoding='utf-8') for path in loaders if path.is_file())
