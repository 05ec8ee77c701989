"""Memory that is freed and wanted again at once, as every training step does, on a CPU."""

import ctypes
import os

import torch

#: glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Let the C library keep what a step frees for the next one, instead of giving it back to the kernel.

    By default glibc maps every block from 32 MiB up anew, and the kernel fills its pages with zeros each time. A map of
    activations is larger than that, so a batch of twice the images costs more than twice the time
    (docs/cost.md). The process then keeps the memory of its largest step, which training needs again anyway.

    Nothing is done where a GPU does the work, where the C library is another one, and where the user has set
    ``MALLOC_MMAP_MAX_``, ``MALLOC_MMAP_THRESHOLD_`` or ``MALLOC_TRIM_THRESHOLD_``.

    Returns:
        bool: Whether it was done.
    """
    names = ('MALLOC_MMAP_MAX_', 'MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_')
    if torch.cuda.is_available() or any(name in os.environ for name in names):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  other C libraries have no such symbol
        done = library.mallopt(_M_MMAP_MAX, 0) and library.mallopt(_M_TRIM_THRESHOLD, -1)
    except (AttributeError, OSError, TypeError):
        return False
    return bool(done)
