"""Import packages one by one and say what came of it: one JSON object per line, in order.

Run by :mod:`mmcds.doctor.inventory` as ``python -c <this text> NAME ...``, so that an import which
kills the interpreter kills this one, and so that mmcds itself is imported no earlier than it says.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any


def probe_torch() -> dict[str, Any]:
    """Build of torch, and the GPUs that it can use."""
    import torch

    available = torch.cuda.is_available()
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())] if available else []
    return {'cuda': torch.version.cuda or '', 'gpus': names}


def ensure_torchvision() -> str:
    """As whoever imports mmcds finds it; an earlier process may have been the one that did it."""
    with contextlib.suppress(ImportError):
        from mmcds.compat import torchvision_compat

        return torchvision_compat.ensure_torchvision()
    return 'native'


def probe_torchvision() -> dict[str, Any]:
    """Whether its operators are there."""
    state = ensure_torchvision()
    import torchvision

    return {'operators': 'compiled' if torchvision.extension._has_ops() else state}


def probe_mmcv_ops() -> dict[str, Any]:
    """CUDA version that mmcv's operators were compiled with."""
    from mmcv.ops import get_compiling_cuda_version

    version = str(get_compiling_cuda_version())
    return {'cuda': '' if 'not available' in version.lower() else version}


def probe_mmdet() -> dict[str, Any]:
    """Every module, as at the start of a training."""
    ensure_torchvision()
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    return {}


def probe_mmpretrain() -> dict[str, Any]:
    """Models and data sets, as at the start of a training."""
    ensure_torchvision()
    from mmpretrain.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    return {}


def probe_mmcds() -> dict[str, Any]:
    """Everything that its registries name."""
    from mmengine.registry import Registry

    from mmcds import registry

    for each in vars(registry).values():
        if isinstance(each, Registry) and each.scope == 'mmcds':
            each.import_from_location()
    return {}


PROBES: dict[str, Callable[[], dict[str, Any]]] = {
    'torch': probe_torch,
    'torchvision': probe_torchvision,
    'mmcv.ops': probe_mmcv_ops,
    'mmdet': probe_mmdet,
    'mmpretrain': probe_mmpretrain,
    'mmcds': probe_mmcds,
}


def probe(name: str) -> dict[str, Any]:
    """Import one package.

    Returns:
        dict: ``name``; ``version`` or ``error``; ``missing`` if there is nothing to import; the
        findings of the package's own probe.
    """
    try:
        # torchvision has to wait for mmcds to look at it first.
        facts = PROBES[name]() if name in PROBES else {}
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == name.partition('.')[0]
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return {'name': name, 'error': f'{type(error).__name__}: {" ".join(lines[:3])[:400]}', 'missing': missing}
    return {'name': name, 'version': str(getattr(module, '__version__', '')), **facts}


if __name__ == '__main__':
    # Packages print while they are imported; what they print must not get between the answers.
    channel = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    for each in sys.argv[1:]:
        print(json.dumps(probe(each)), file=channel, flush=True)
    # Not the orderly way out: an exit handler that crashes says nothing about the imports.
    os._exit(0)
