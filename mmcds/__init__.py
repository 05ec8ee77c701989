"""Contrastive deep supervision for MMDetection, MMPretrain and the packages around them.

Nothing is imported until it is used: `python -m mmcds.doctor` has to run where torch or an mm
package is missing. The registries import the rest by themselves.
"""

from typing import Any

from .compat.old_names import install
from .compat.torchvision_compat import ensure_torchvision
from .version import __version__

# Before anything imports torchvision, which mmdet and mmpretrain do.
ensure_torchvision()
install()

__all__ = ['__version__', 'add_cds', 'register_batch_format', 'remove_cds']


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import apis

        return getattr(apis, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
