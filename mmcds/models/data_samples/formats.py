"""The formats of batches that mmcds reads. A project adds its own with :func:`register_batch_format`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..step_data import Targets
from . import sample_list, yolo_batch


@dataclass(frozen=True)
class BatchFormat:
    """How the batches of a package are read.

    Attributes:
        name (str): Its name, that of the package.
        fits (Callable[[Any], bool]): Whether the ``data_samples`` of a batch have this format.
        read (Callable[[Tensor, Any], Targets]): Reads the annotations, from the inputs (N, C, H, W) and
            ``data_samples``.
        problem (Callable[[Tensor, Any], str]): What is wrong with a batch, '' if nothing is. Called before ``read``.
    """

    name: str
    fits: Callable[[Any], bool]
    read: Callable[[Tensor, Any], Targets]
    problem: Callable[[Tensor, Any], str] = lambda inputs, data_samples: ''


#: Formats of projects by name, and those of mmcds. The first that fits reads a batch.
_REGISTERED: dict[str, BatchFormat] = {}
_OWN = (
    BatchFormat('mmyolo', yolo_batch.fits, yolo_batch.read_targets, yolo_batch.problem),
    BatchFormat('mmdet', sample_list.fits, sample_list.read_targets, sample_list.problem),
)


def register_batch_format(
    name: str,
    fits: Callable[[Any], bool],
    read: Callable[[Tensor, Any], Targets],
    problem: Callable[[Tensor, Any], str] = lambda inputs, data_samples: '',
) -> None:
    """Teach mmcds the batches of another package. Call it where the config imports your modules (``custom_imports``).

    The model must have a backbone that takes images (N, C, H, W), and its training step must call
    ``model(inputs, data_samples, mode='loss')``, as those of MMEngine do.

    Args:
        name (str): Name of the format. A format of the same name is replaced. With the name of a package that
            ``add_cds`` refuses for its batches, it is not refused any more.
        fits (Callable[[Any], bool]): Whether the ``data_samples`` of a batch have this format. It is asked before the
            formats of mmcds.
        read (Callable[[Tensor, Any], Targets]): Reads the annotations, from the inputs (N, C, H, W) and
            ``data_samples``. :meth:`Targets.empty` makes targets without annotations.
        problem (Callable[[Tensor, Any], str]): What is wrong with a batch, for an error message; '' if nothing is.
            Defaults to a function that finds nothing wrong.

    Example:
        >>> def read(inputs, data_samples):
        ...     return Targets.empty(inputs, image_labels=data_samples['species'])
        >>> register_batch_format('birds', lambda samples: isinstance(samples, dict) and 'species' in samples, read)
    """
    _REGISTERED[name] = BatchFormat(name, fits, read, problem)


def is_registered(name: str) -> bool:
    """Whether a project has registered a format of this name."""
    return name in _REGISTERED


def check_batch(model: str, inputs: Any, data_samples: Any) -> None:
    """Raise on a batch that CDS does not read.

    Args:
        model (str): The model's type, for messages.
        inputs: What its training step gets as ``inputs``.
        data_samples: What it gets as ``data_samples``.

    Raises:
        ValueError: If the inputs are not images (N, C, H, W), no format fits, or the format finds a problem.
    """
    problem, known = '', None
    if not isinstance(inputs, Tensor) or inputs.dim() != 4:
        problem = f'inputs of the form {tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__}'
    elif data_samples is None:
        problem = f'inputs of the form {tuple(inputs.shape)} without data samples'
    else:
        known = _format_of(data_samples)
        problem = known.problem(inputs, data_samples) if known else f'data_samples of the {_form(data_samples)}'
    if problem:
        raise ValueError(
            f'{model} trains on {problem}; CDS reads images (N, C, H, W) with the data samples of mmdet, mmrotate, '
            'mmpretrain, mmsegmentation or mmyolo; teach it another format with mmcds.register_batch_format'
        )


def read_targets(inputs: Tensor, data_samples: Any) -> Targets:
    """Read the annotations of a batch.

    Args:
        inputs (Tensor): The images as the model gets them (N, C, H, W).
        data_samples: What the model gets with them, in a known format.

    Raises:
        ValueError: If no format fits.
    """
    known = _format_of(data_samples)
    if known is None:
        raise ValueError(f'no batch format fits data_samples of the {_form(data_samples)}')
    return known.read(inputs, data_samples)


def _format_of(data_samples: Any) -> BatchFormat | None:
    return next((known for known in (*_REGISTERED.values(), *_OWN) if known.fits(data_samples)), None)


def _form(data_samples: Any) -> str:
    keys = f' with {sorted(map(str, data_samples))}' if isinstance(data_samples, dict) else ''
    return f'type {type(data_samples).__name__}{keys}'
