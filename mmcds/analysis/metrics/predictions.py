"""Reads the predictions that ``tools/test.py ... --out results.pkl`` wrote."""

import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .calibration import Reliability, reliability, top1_confidence
from .calibration_error import scores_and_label

#: What such a file names beside plain containers: tensors and numpy's arrays and numbers.
_ALLOWED = {
    ('collections', 'OrderedDict'),
    ('_codecs', 'encode'),  # how bytes are written
    ('torch', 'Size'),
    ('torch._utils', '_rebuild_tensor_v2'),
    *((f'numpy.{core}.multiarray', name) for core in ('core', '_core') for name in ('_reconstruct', 'scalar')),
    ('numpy', 'ndarray'),
    ('numpy', 'dtype'),
}


class _TensorUnpickler(pickle.Unpickler):
    """Rebuilds tensors and arrays; a file that names anything else could run any code and is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """A class or function that the file names."""
        if (module, name) == ('torch.storage', '_load_from_bytes'):
            return lambda content: torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f'it holds {module}.{name}')
        return super().find_class(module, name)


def read_predictions(path: str | Path) -> list[Mapping[str, Any]]:
    """Load a prediction dump without running code from it.

    Args:
        path (str | Path): Written by ``tools/test.py CONFIG CHECKPOINT --out results.pkl``.

    Returns:
        list[Mapping]: One data sample per image, with tensors.

    Raises:
        FileNotFoundError, ValueError: If it is missing, no such file, or holds no predictions.
    """
    path = Path(path)
    if not path.is_file():
        found = sorted(each.name for each in path.parent.glob('*.pkl')) if path.parent.is_dir() else []
        raise FileNotFoundError(
            f'predictions={str(path)!r} does not exist; .pkl files beside it: {", ".join(found) or "none"}; '
            'write one with tools/test.py CONFIG CHECKPOINT --out results.pkl'
        )
    try:
        with path.open('rb') as file:
            content = _TensorUnpickler(file).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, ValueError, RuntimeError) as error:
        raise ValueError(
            f'predictions={str(path)!r} cannot be read ({error}); write it anew with '
            'tools/test.py CONFIG CHECKPOINT --out results.pkl'
        ) from error
    if not isinstance(content, Sequence) or not content or not all(isinstance(each, Mapping) for each in content):
        raise ValueError(
            f'predictions={str(path)!r} holds no list of predictions; write it with tools/test.py ... --out '
            'results.pkl, without --out-item metrics'
        )
    return list(content)


def reliability_of_file(path: str | Path, bins: int = 15) -> Reliability:
    """The reliability bins of a prediction dump.

    Args:
        path (str | Path): As :func:`read_predictions` takes it.
        bins (int): Number of bins, >= 1. Defaults to 15.

    Raises:
        FileNotFoundError, ValueError: If it cannot be read, or its predictions are no classifier's.
    """
    try:
        results = np.array(
            [top1_confidence(*scores_and_label(sample)) for sample in read_predictions(path)], dtype=np.float64
        )
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return reliability(results[:, 0], results[:, 1] > 0, bins)
