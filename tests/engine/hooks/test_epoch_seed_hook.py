"""Random numbers are a function of seed, epoch and rank and of nothing before them."""

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.runner import IterBasedTrainLoop

from mmcds.engine.hooks import EpochSeedHook, epoch_seed_hook


def draw(seed: int | None, epoch: int, loop: Any = None, iteration: int = 0) -> tuple[float, float, float]:
    runner: Any = SimpleNamespace(seed=seed, epoch=epoch, iter=iteration, train_loop=loop)
    EpochSeedHook().before_train_epoch(runner)
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_epochs_and_seeds_draw_apart_and_again_the_same() -> None:
    first = {(seed, epoch): draw(seed, epoch) for seed in (0, 1, 7) for epoch in range(4)}
    for generator in range(3):
        assert len({each[generator] for each in first.values()}) == 12
    random.random()
    torch.rand(9)
    assert {key: draw(*key) for key in reversed(first)} == first
    assert draw(None, 2) == first[0, 2]
    assert draw(2**31 - 1, 10**4)[1] < 1  # NumPy takes 32 bits


def test_ranks_draw_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for rank in range(4):
        monkeypatch.setattr(epoch_seed_hook, 'get_rank', lambda rank=rank: rank)
        monkeypatch.setattr(epoch_seed_hook, 'get_world_size', lambda: 4)
        found += [draw(seed, epoch) for seed in (0, 1) for epoch in range(3)]
    for generator in range(3):
        assert len({each[generator] for each in found}) == 24


def test_without_epochs_a_resumed_run_does_not_begin_again() -> None:
    loop = object.__new__(IterBasedTrainLoop)
    assert draw(0, 0, loop, 0) == draw(0, 0)
    assert draw(0, 0, loop, 5000) != draw(0, 0, loop, 0)
    # With epochs the iteration has no say.
    assert draw(0, 3, None, 300) == draw(0, 3, None, 0)
