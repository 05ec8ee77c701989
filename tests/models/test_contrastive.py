"""The loss against plain loops in float64, the released code's form, and one process against several."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from toys import released_form, run_ranks

from mmcds.models.losses import ContrastiveLoss

Queue = tuple[Tensor, Tensor]


def by_hand(
    rows: Tensor,
    labels: Tensor,
    ids: Tensor,
    is_anchor: Tensor,
    temperature: float,
    positives: str,
    queue: Queue | None = None,
    weights: Tensor | None = None,
    min_anchors: int = 1,
) -> float:
    """The equation of the paper, pair by pair, with Python's floats."""
    weight = [1.0] * len(rows) if weights is None else weights.double().tolist()
    vectors = rows.detach().double().tolist()
    tags: list[Any] = []
    for label, number, anchor in zip(labels.tolist(), ids.tolist(), is_anchor.tolist(), strict=True):
        labelled = positives == 'class' and label >= 0
        tags.append(None if not anchor else ('label', label) if labelled else ('instance', number))
    if queue is not None:
        vectors += queue[0].double().tolist()
        tags += [('label', q) if q >= 0 and positives == 'class' else None for q in queue[1].tolist()]
        weight += [1.0] * len(queue[1])
    losses = []
    for i in range(len(rows)):
        others = [j for j in range(len(vectors)) if j != i]
        same = [j for j in others if tags[i] is not None and tags[j] == tags[i]]
        if not same:
            continue
        scores = {j: sum(a * b for a, b in zip(vectors[i], vectors[j], strict=True)) / temperature for j in others}
        highest = max(scores.values())
        log_sum = highest + math.log(sum(math.exp(score - highest) for score in scores.values()))
        total = sum(weight[j] for j in same)
        losses.append(sum(weight[j] * (log_sum - scores[j]) for j in same) / total)
    return sum(losses) / max(len(losses), min_anchors) if losses else 0.0


def unit(rows: int, dim: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, dim, generator=generator, dtype=torch.float64), dim=1).to(dtype)


def both(values: list[Any]) -> Tensor:
    """The same for view 1 and view 2."""
    return torch.tensor(values + values)


@pytest.mark.parametrize('labels', [[0, 1, 0, 2], [-1, -1, -1, -1], [3, -1, 3, -1]])
@pytest.mark.parametrize('positives', ['class', 'instance'])
@pytest.mark.parametrize('temperature', [0.07, 0.5])
def test_equals_a_recomputation_by_hand(labels: list[int], positives: str, temperature: float) -> None:
    rows = unit(8, 6, 1)
    arguments = both(labels), both([0, 1, 2, 3]), torch.ones(8, dtype=torch.bool)
    found = ContrastiveLoss(temperature, positives)(rows, *arguments)
    assert found.item() == pytest.approx(by_hand(rows, *arguments, temperature, positives), rel=1e-6)


@pytest.mark.parametrize(('dim', 'count'), [(512, 16), (2048, 5)])
@pytest.mark.parametrize('labelled', [True, False])
def test_has_the_value_and_the_gradient_of_the_released_form(dim: int, count: int, labelled: bool) -> None:
    rows = unit(2 * count, dim, 2).requires_grad_()
    labels = torch.arange(count) % 4
    expected = released_form(torch.stack(rows.chunk(2), dim=1), labels if labelled else None)
    loss = ContrastiveLoss(positives='class' if labelled else 'instance')
    found = loss(rows, labels.repeat(2), torch.arange(count).repeat(2), torch.ones(2 * count, dtype=torch.bool))
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    gradients = [torch.autograd.grad(each, rows)[0] for each in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-8)


def test_gradient_is_the_numerical_one() -> None:
    arguments = both([0, 0, 1, -1, 1]), both([0, 1, 2, 3, 4]), both([True, True, True, True, False])
    queue = unit(3, 4, 9), torch.tensor([0, -1, 5])
    rows = unit(10, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ContrastiveLoss(0.3)(x, *arguments, queue), (rows,))
    weights = torch.rand(10, dtype=torch.float64) + 0.1
    assert torch.autograd.gradcheck(lambda x: ContrastiveLoss(0.3)(x, *arguments, queue, weights), (rows,))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_batch_is_finite_connected_and_right(data: st.DataObject) -> None:
    """Unlabelled rows, background, lone rows, no rows; in float64 also the value."""
    count = data.draw(st.integers(0, 6), 'instances')
    views = data.draw(st.sampled_from([1, 2]), 'views')
    dim = data.draw(st.integers(1, 5), 'dim')
    labels = data.draw(st.lists(st.integers(-1, 2), min_size=count, max_size=count), 'labels')
    anchors = data.draw(st.lists(st.booleans(), min_size=count, max_size=count), 'anchors')
    temperature = data.draw(st.sampled_from([0.005, 0.07, 1.0, 10.0]), 'temperature')
    positives = data.draw(st.sampled_from(['class', 'instance']), 'positives')
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]), 'dtype')
    length = data.draw(st.integers(-1, 4), 'queue')
    seed = data.draw(st.integers(0, 1000), 'seed')
    alike = data.draw(st.booleans(), 'all rows alike')
    weighted = data.draw(st.booleans(), 'weighted')
    least = data.draw(st.sampled_from([1, 4]), 'min_anchors')

    rows = unit(count * views, dim, seed, dtype)
    rows = (rows[:1].expand_as(rows).clone() if alike and len(rows) else rows).requires_grad_()
    queue = None
    if length >= 0:
        queue = unit(length, dim, seed + 1, dtype), torch.randint(-1, 3, (length,), generator=torch.manual_seed(seed))
    arguments = (
        torch.tensor(labels * views, dtype=torch.long),
        torch.arange(count).repeat(views),
        torch.tensor(anchors * views, dtype=torch.bool),
    )
    weights = torch.rand(len(rows), generator=torch.manual_seed(seed), dtype=dtype) + 0.1 if weighted else None
    found = ContrastiveLoss(temperature, positives, min_anchors=least)(rows, *arguments, queue, weights)
    found.backward()
    assert found.dtype == dtype
    assert found.shape == ()
    assert rows.grad is not None
    assert rows.grad.isfinite().all()
    expected = by_hand(rows, *arguments, temperature, positives, queue, weights, least)
    precision = 1e-6 if dtype == torch.float64 else 1e-3
    assert found.item() == pytest.approx(expected, rel=precision, abs=precision)


@pytest.mark.parametrize(
    ('labels', 'anchors'),
    [([], []), ([0], [True]), ([0, 1, 2], [True] * 3), ([0, 0], [False, False]), ([-1, -1], [True, True])],
    ids=['no row', 'one row', 'no two alike', 'background only', 'unlabelled'],
)
def test_nothing_to_learn_is_a_zero_that_is_connected(labels: list[int], anchors: list[bool]) -> None:
    weight = torch.randn(3, 4, requires_grad=True)
    rows = F.normalize(torch.randn(len(labels), 3) @ weight, dim=1)
    loss = ContrastiveLoss()(
        rows, torch.tensor(labels, dtype=torch.long), torch.arange(len(labels)), torch.tensor(anchors, dtype=torch.bool)
    )
    assert loss.item() == 0
    loss.backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.zeros(3, 4))


def test_background_is_a_negative_for_all_and_an_anchor_for_none() -> None:
    rows = unit(6, 4, 4).requires_grad_()
    ids = both([0, 1, 2])
    labels, anchors = both([0, 0, -1]), both([True, True, False])
    with_background = ContrastiveLoss()(rows, labels, ids, anchors)
    keep = anchors.nonzero().flatten()
    without = ContrastiveLoss()(rows[keep], labels[keep], ids[keep], anchors[keep])
    assert with_background > without  # more in every denominator, the same numerators
    # The anchors' part of the gradient formula: d/dk = sum of softmax(i, k) z_i / tau / anchors, all attracted to none.
    gradient = torch.autograd.grad(with_background, rows)[0]
    similarity = (rows @ rows.T / 0.07).fill_diagonal_(float('-inf')).softmax(1)
    for k in (2, 5):
        expected = sum(similarity[i, k] * rows[i] for i in (0, 1, 3, 4)) / 0.07 / 4
        torch.testing.assert_close(gradient[k], expected)


def test_queue_is_compared_with() -> None:
    rows = unit(4, 3, 5)
    arguments = both([0, 1]), both([0, 1]), torch.ones(4, dtype=torch.bool)
    queue = unit(2, 3, 6), torch.tensor([1, -1])
    found = ContrastiveLoss(0.2)(rows, *arguments, queue)
    assert found.item() == pytest.approx(by_hand(rows, *arguments, 0.2, 'class', queue), rel=1e-6)
    assert found.item() != pytest.approx(ContrastiveLoss(0.2)(rows, *arguments).item(), rel=1e-3)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(temperature=0), r'loss\.temperature=0 .*\(0, inf\)'),
        (dict(temperature=-1.0), r'loss\.temperature=-1\.0 .*\(0, inf\)'),
        (dict(temperature='warm'), r"loss\.temperature='warm'"),
        (dict(temperature=float('nan')), r'loss\.temperature=nan'),
        (dict(min_anchors=0), r'loss\.min_anchors=0'),
        (dict(positives='clas'), r"loss\.positives='clas' is not known; nearest: class; valid: class, instance"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContrastiveLoss(**arguments)


# --- several processes -------------------------------------------------------------------------

QUEUE = (unit(3, 4, 70), torch.tensor([0, -1, 1]))
CASES: list[tuple[str, Queue | None]] = [('class', None), ('instance', None), ('class', QUEUE)]


def part(rank: int, world: int) -> tuple[Tensor, Tensor, Tensor]:
    """A rank's instances: the last rank has none, the others differ in number; row k is its own id."""
    count = 0 if rank == world - 1 else 3 - rank
    rows = unit(2 * count, 4, 60 + rank)
    labels = torch.tensor([0, 1, -1][:count] * 2, dtype=torch.long)
    anchors = torch.tensor([True, True, rank == 0][:count] * 2, dtype=torch.bool)
    return rows, labels, anchors


def losses_on_a_rank(rank: int, world: int) -> list[tuple[Tensor, Tensor]]:
    rows, labels, anchors = part(rank, world)
    rows.requires_grad_()
    results = []
    for positives, queue in CASES:
        ids = torch.arange(len(rows) // 2).repeat(2)
        loss = ContrastiveLoss(0.2, positives)(rows, labels, ids, anchors, queue)
        (gradient,) = torch.autograd.grad(loss, rows)
        results.append((loss.detach(), gradient))
    return results


def taps_together_and_one_by_one(rank: int, world: int) -> list[tuple[Tensor, Tensor]]:
    """Losses and gradients of two taps, asked for together and one by one."""
    rows, labels, anchors = part(rank, world)
    taps = torch.stack([rows, unit(len(rows), 4, 90 + rank)]).requires_grad_()
    other: Queue = (unit(3, 4, 71), QUEUE[1])
    both_queues: Queue = (torch.stack([QUEUE[0], other[0]]), QUEUE[1])
    ids, found = torch.arange(len(rows) // 2).repeat(2), []
    weights = torch.rand(len(rows), generator=torch.Generator().manual_seed(rank), dtype=torch.float64) + 0.5
    for positives in ('class', 'instance'):
        for queue, pair in ((None, (None, None)), (both_queues, (QUEUE, other))):
            for weight in (None, weights):
                loss = ContrastiveLoss(0.2, positives, min_anchors=3)
                together = loss(taps, labels, ids, anchors, queue, weight)
                single = torch.stack(
                    [loss(tap, labels, ids, anchors, each, weight) for tap, each in zip(taps, pair, strict=True)]
                )
                found.append((together.detach(), single.detach()))
                factor = torch.tensor([1.0, -2.0], dtype=torch.float64)
                gradients = (torch.autograd.grad((each * factor).sum(), taps)[0] for each in (together, single))
                first, second = gradients
                found.append((first, second))
    return found


@pytest.mark.parametrize('world', [1, 2, 3])
def test_taps_together_are_the_taps_one_by_one(world: int, tmp_path: Path) -> None:
    ranks = (
        run_ranks(world, taps_together_and_one_by_one, tmp_path) if world > 1 else [taps_together_and_one_by_one(0, 2)]
    )
    for found in ranks:
        assert len(found) == 16
        for together, single in found:
            torch.testing.assert_close(together, single, rtol=1e-6, atol=1e-9)
    assert all(together.abs().max() > 1e-2 for together, _ in ranks[0])


@pytest.mark.parametrize('world', [2, 3])
def test_ranks_together_are_one_process(world: int, tmp_path: Path) -> None:
    """Against the loops over the union: DDP's average of losses and of gradients, one rank without rows."""
    ranks = run_ranks(world, losses_on_a_rank, tmp_path)
    parts = [part(rank, world) for rank in range(world)]
    rows = torch.cat([each[0] for each in parts]).requires_grad_()
    labels, anchors = torch.cat([each[1] for each in parts]), torch.cat([each[2] for each in parts])
    ids = torch.cat([torch.arange(len(each[0]) // 2).repeat(2) + 100 * i for i, each in enumerate(parts)])
    for case, (positives, queue) in enumerate(CASES):
        mean = sum(ranks[rank][case][0].item() for rank in range(world)) / world
        assert mean == pytest.approx(by_hand(rows, labels, ids, anchors, 0.2, positives, queue), rel=1e-6)
        union = ContrastiveLoss(0.2, positives)(rows, labels, ids, anchors, queue)
        (expected,) = torch.autograd.grad(union, rows)
        averaged = torch.cat([ranks[rank][case][1] for rank in range(world)]) / world
        torch.testing.assert_close(averaged, expected, rtol=1e-6, atol=1e-9)
        assert expected.abs().max() > 1e-2
