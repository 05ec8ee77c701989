"""Import packages one by one and print the result of each as a line of JSON, in order.

Run by :mod:`mmcds.doctor.inventory` as ``python -c <this text> NAME ...``, so that an import which
kills the interpreter kills this one, and so that mmcds itself is imported no earlier than it says.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any


def look(name: str) -> dict[str, Any]:
    """Import what training imports of a package. Returns facts about it other than its version."""
    if name == 'torch':
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        gpus = [torch.cuda.get_device_name(index) for index in range(count)]
        built = f'built for {f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU"}'
        note = ', '.join([built, f'{count} GPU ({", ".join(sorted(set(gpus)))})' if gpus else 'no GPU seen'])
        return {'cuda': torch.version.cuda or '', 'gpus': gpus, 'note': note}
    if name == 'mmcv.ops':
        from mmcv.ops import get_compiling_cuda_version

        version = str(get_compiling_cuda_version())
        cuda = '' if 'not available' in version.lower() else version
        return {'cuda': cuda, 'note': f'compiled for {f"CUDA {cuda}" if cuda else "the CPU"}'}
    if name in ('torchvision', 'mmdet', 'mmpretrain'):
        # As whoever imports mmcds finds it.
        from mmcds.compat.torchvision_compat import ensure_torchvision

        state: str = ensure_torchvision()
        if name == 'torchvision':
            import torchvision

            found = 'compiled' if torchvision.extension._has_ops() else str(state)
            unfit = ', not compiled for this torch; transforms and models work'
            return {'operators': found, 'note': f'operators: {found}{unfit if found == "declared" else ""}'}
        importlib.import_module(f'{name}.utils').register_all_modules(init_default_scope=False)
    if name == 'mmcds':
        from mmengine.registry import Registry

        from mmcds import registry

        for each in vars(registry).values():
            if isinstance(each, Registry) and each.scope == 'mmcds':
                each.import_from_location()
    return {}


def probe(name: str) -> dict[str, Any]:
    """Import one package. Returns ``name``, ``version`` or ``error``, ``missing`` if it is not installed, and facts."""
    try:
        facts = look(name)
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
