"""The kernel's count of the peak."""

import numpy as np
import pytest

from benchmarks.memory import begin_peak, peak_mib


def test_counts_what_was_freed_since() -> None:
    begin_peak()
    before = peak_mib()
    block = np.ones(2**24)  # 128 MiB
    del block
    assert peak_mib() - before == pytest.approx(128, abs=24)


def test_begins_anew() -> None:
    block = np.ones(2**24)
    del block
    high = peak_mib()
    begin_peak()
    assert peak_mib() < high - 64
