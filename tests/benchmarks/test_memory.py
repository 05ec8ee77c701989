"""The kernel's count of the peak."""

import mmap

import numpy as np
import pytest

from benchmarks.speed.memory import begin_peak, peak_mib


def use_and_free() -> None:
    """128 MiB from the kernel, given back whatever the C library has been told to keep."""
    with mmap.mmap(-1, 2**27) as block:
        np.frombuffer(block, dtype=np.uint8)[:] = 1


def test_counts_what_was_freed_since() -> None:
    begin_peak()
    before = peak_mib()
    use_and_free()
    assert peak_mib() - before == pytest.approx(128, abs=24)


def test_begins_anew() -> None:
    use_and_free()
    high = peak_mib()
    begin_peak()
    assert peak_mib() < high - 64
