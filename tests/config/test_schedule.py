"""The schedule against values worked out by hand and against its own definition at every point."""

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcds.engine.hooks import ContrastSchedule


@pytest.mark.parametrize(
    ('arguments', 'values'),
    [
        ({}, {0: 1, 50: 1, 99: 1}),
        (dict(warmup=0.2), {0: 0, 5: 0.25, 10: 0.5, 20: 1, 99: 1}),
        (dict(stop=0.9), {0: 1, 89: 1, 90: 0, 99: 0}),
        (dict(decay='linear'), {0: 1, 25: 0.75, 50: 0.5}),
        (dict(decay='linear', final=0.2), {0: 1, 50: 0.6, 100: 0.2}),
        (dict(warmup=0.2, decay='linear', stop=0.6), {10: 0.5, 20: 1, 30: 0.75, 50: 0.25, 60: 0}),
        (dict(decay='cosine', decay_begin=0.5), {0: 1, 50: 1, 75: 0.5, 100: 0}),
        (dict(decay='cosine', decay_begin=0.5, final=0.5), {62.5: 0.5 + 0.5 * (1 + math.sqrt(0.5)) / 2}),
        (dict(warmup=2, stop=8, unit='epoch'), {0: 0, 10: 0.5, 20: 1, 79: 1, 80: 0}),
        (dict(warmup=4, decay='linear', stop=24, unit='iter'), {0: 0, 1: 0.25, 4: 1, 14: 0.5, 24: 0, 99: 0}),
        (dict(stop=0.01), {0: 1, 1: 0, 50: 0}),
        (dict(warmup=0.2, decay='constant', decay_begin=None, final=0.0), {10: 0.5, 50: 1}),
        (dict(warmup=20, unit='epoch'), {0: 0, 99: 0.495}),
        (dict(warmup=0.5, decay='linear', stop=0.5), {25: 0.5, 49: 0.98, 50: 0}),
    ],
)
def test_values_by_hand(arguments: dict[str, Any], values: dict[float, float]) -> None:
    """100 iterations in ten epochs."""
    schedule = ContrastSchedule.from_cfg(arguments)
    for iteration, expected in values.items():
        assert schedule.factor(iteration, 100, 10) == pytest.approx(expected), iteration  # type: ignore[arg-type]


@given(
    points=st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted).filter(lambda points: points[2] > 0),
    decay=st.sampled_from(['constant', 'linear', 'cosine']),
    final=st.floats(0, 1),
    total=st.integers(1, 500),
)
def test_rises_then_falls_and_stays_in_range(points: list[float], decay: str, final: float, total: int) -> None:
    falls: dict[str, Any] = {} if decay == 'constant' else dict(final=final)
    begin = None if decay == 'constant' else points[1]
    schedule = ContrastSchedule(points[0], decay, begin, stop=points[2], **falls)
    factors = [schedule.factor(i, total, 7) for i in range(total + 1)]
    assert all(0 <= f <= 1 for f in factors)
    for i, (now, then) in enumerate(pairwise(factors)):
        if (i + 1) / total < points[0]:
            assert then >= now
        elif i / total >= points[0]:
            assert then <= now + 1e-12
    # Written in units of iterations it is the same schedule.
    later = None if begin is None else begin * total
    scaled = ContrastSchedule(points[0] * total, decay, later, stop=points[2] * total, unit='iter', **falls)
    assert [scaled.factor(i, total, 7) for i in (0, total // 3)] == pytest.approx(
        [factors[0], factors[total // 3]], abs=1e-6
    ) or any(abs(i / total - p) < 1e-9 for i in (0, total // 3) for p in points)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            dict(decay='cos'),
            "schedule.decay='cos' is not known; nearest: cosine, constant; valid: constant, linear, cosine",
        ),
        (dict(unit='step'), "schedule.unit='step' is not known; nearest: iter; valid: fraction, epoch, iter"),
        (dict(warmup=2), 'schedule.warmup=2 is out of range; give a number in [0, 1]'),
        (dict(warmup=-1, unit='iter'), 'schedule.warmup=-1 is out of range; give a number in [0, inf)'),
        (dict(warmup=None), 'schedule.warmup=None is out of range; give a number in [0, 1]'),
        (dict(stop=1.5), 'schedule.stop=1.5 is out of range; give a number in (0, 1]'),
        (dict(stop=0), 'schedule.stop=0 is out of range; give a number in (0, 1]'),
        (dict(stop=0, unit='epoch'), 'schedule.stop=0 is out of range; give a number in (0, inf)'),
        (
            dict(decay_begin=0.5, final=0.1),
            "schedule.decay_begin=0.5 has no effect with decay='constant'; set decay='linear' or 'cosine', or remove "
            'decay_begin',
        ),
        (
            dict(final=0.1),
            "schedule.final=0.1 has no effect with decay='constant'; set decay='linear' or 'cosine', or remove final",
        ),
        (dict(final=2), 'schedule.final=2 is out of range; give a number in [0, 1]'),
        (
            dict(warmup=0.5, stop=0.2),
            "schedule={'warmup': 0.5, 'stop': 0.2} is out of order; give warmup <= decay_begin <= stop",
        ),
        ('cosine', "schedule='cosine' is not a dict; give its fields, such as dict(decay='cosine')"),
        (
            dict(warm_up=0.1),
            "schedule='warm_up' is not known; nearest: warmup; valid: warmup, decay, decay_begin, final, stop, unit",
        ),
    ],
)
def test_mistakes_are_named(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        ContrastSchedule.from_cfg(arguments)
    assert str(caught.value) == message


def test_nothing_given_is_constant() -> None:
    assert ContrastSchedule.from_cfg(None) == ContrastSchedule()
