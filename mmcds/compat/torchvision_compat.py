"""Make the Python part of torchvision importable beside a torch that its compiled part was not built for."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path
from typing import Literal

TorchvisionState = Literal['native', 'declared', 'absent', 'broken']

#: The operators that torchvision expects to exist while it is imported, whether compiled or not.
_SCHEMAS = {
    'nms': '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'qnms': '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
}
#: The declarations last as long as the ``torch.library.Library`` that made them.
_libraries: list[object] = []


def ensure_torchvision() -> TorchvisionState:
    """Declare torchvision's missing operators if they keep it from being imported.

    The package index has only CUDA builds of torchvision for Linux. Beside a CPU build of torch their
    compiled part does not load, and the import ends with ``operator torchvision::nms does not exist``.
    mmpretrain needs no more than the Python part, but does need that; mmdet needs none of it, but its
    ``register_all_modules`` dies of the error. Once the operators are declared, torchvision's
    transforms, models, data sets, ``box_iou`` and ``roi_align`` work; ``nms``, ``deform_conv2d`` and
    the image decoders raise torchvision's own error when they are called (mmcv has its own).

    A torchvision that matches torch is never touched. It is told apart by the version files where they
    suffice, so that neither package is imported, else by importing it. Calling this again does nothing.

    Returns:
        str: ``'native'``: torchvision imports as it is. ``'declared'``: it does because the missing
        operators were declared. ``'absent'``: it is not installed, or torch is not. ``'broken'``: its
        import fails for another reason, which whoever imports it will be told.
    """
    if _libraries:
        return 'declared'
    if 'torchvision' in sys.modules:
        return 'native'
    if importlib.util.find_spec('torchvision') is None or importlib.util.find_spec('torch') is None:
        return 'absent'
    if _is_same_build():
        return 'native'
    _forget_failed_import()
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        missing = re.search(r'operator torchvision::(\w+) does not exist', str(error))
        if missing is None or missing[1] not in _SCHEMAS:
            return 'broken'
    except Exception:
        return 'broken'
    else:
        return 'native'
    _forget_failed_import()
    _declare_operators()
    return 'declared'


def _is_same_build() -> bool:
    """Whether the installed files say that torchvision was built for exactly this torch."""
    torch, torchvision = (_read_version(name) for name in ('torch', 'torchvision'))
    build = torch.partition('+')[2]
    if not build or build != torchvision.partition('+')[2]:
        return False
    try:
        requirements = importlib.metadata.requires('torchvision') or []
    except importlib.metadata.PackageNotFoundError:
        return False
    wanted = {re.sub(r'[\s()]', '', each) for each in requirements}
    return f'torch=={torch.partition("+")[0]}' in wanted


def _read_version(package: str) -> str:
    """``__version__`` of a package's ``version.py``, or ``''``; unlike the metadata it names the build."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / 'version.py'
        found = re.search(r"^__version__ = '([^']+)'", path.read_text(), re.MULTILINE) if path.is_file() else None
        if found:
            return found[1]
    return ''


def _forget_failed_import() -> None:
    """Remove the submodules that a failed import leaves behind; they break the next import."""
    for name in [name for name in sys.modules if name.partition('.')[0] == 'torchvision']:
        del sys.modules[name]


def _declare_operators() -> None:
    import torch

    # A fragment, not torch.library.define: that one is not in every torch mmdet 3.x is used with.
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + schema)
    _libraries.append(library)
