"""The queue against collections.deque, and equal on all ranks."""

from collections import deque
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from toys import run_ranks

from mmcds.models.losses import EmbeddingQueue


def rows_of(start: int, count: int) -> tuple[Tensor, Tensor]:
    """Unit rows that are all different, with labels that number them."""
    angle = torch.arange(start, start + count, dtype=torch.float32) * 0.1
    return torch.stack([angle.cos(), angle.sin()], 1), torch.arange(start, start + count)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 7), sizes=st.lists(st.integers(0, 16), max_size=6))
def test_holds_what_a_deque_holds(length: int, sizes: list[int]) -> None:
    queue, expected = EmbeddingQueue(length, 2), deque[int](maxlen=length)
    start = 0
    for size in sizes:
        rows, labels = rows_of(start, size)
        queue.put(rows, labels)
        expected.extend(labels.tolist())
        start += size
        found, numbers = queue.get()
        assert sorted(numbers.tolist()) == sorted(expected)
        for row, number in zip(found, numbers.tolist(), strict=True):
            torch.testing.assert_close(row, rows_of(number, 1)[0][0])


def test_is_empty_at_the_start_and_gives_copies_without_gradient() -> None:
    queue = EmbeddingQueue(3, 2)
    assert queue.get()[0].shape == (0, 2)
    rows = torch.tensor([[3.0, 4.0]], requires_grad=True)
    queue.put(rows, torch.tensor([7]))
    found, labels = queue.get()
    assert not found.requires_grad
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8]]))
    found.zero_()
    labels.zero_()
    assert queue.get()[1].tolist() == [7]
    assert queue.get()[0].norm() == pytest.approx(1)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float64])
def test_takes_any_floating_dtype(dtype: torch.dtype) -> None:
    queue = EmbeddingQueue(2, 4)
    queue.put(torch.ones(1, 4, dtype=dtype), torch.tensor([0]))
    torch.testing.assert_close(queue.get()[0], torch.full((1, 4), 0.5))


def test_goes_on_where_a_checkpoint_left_it() -> None:
    queue, resumed = EmbeddingQueue(4, 2), EmbeddingQueue(4, 2)
    queue.put(*rows_of(0, 6))
    resumed.load_state_dict(queue.state_dict())
    for each in (queue, resumed):
        each.put(*rows_of(6, 3))
    assert set(queue.state_dict()) == {'embeddings', 'labels', 'cursor'}
    for name, value in queue.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
    assert sorted(resumed.get()[1].tolist()) == [5, 6, 7, 8]
    assert list(queue.parameters()) == []


def queue_on_a_rank(rank: int, world: int) -> dict[str, Tensor]:
    queue = EmbeddingQueue(5, 2)
    for step, count in enumerate((2, 0, 4)):
        # Rank 1 has nothing in the first step, rank 0 in the second.
        count = 2 - count // 2 if rank == 1 else count
        queue.put(*rows_of(100 * rank + 10 * step, 0 if (rank, step) == (1, 0) else count))
    return {name: value.clone() for name, value in queue.state_dict().items()}


def test_ranks_hold_the_same(tmp_path: Path) -> None:
    first, second = run_ranks(2, queue_on_a_rank, tmp_path)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    # By hand: [0, 1], then rank 1's [110, 111], then [20, 21, 22, 23] with nothing of rank 1: the last five.
    assert sorted(first['labels'].tolist()) == [20, 21, 22, 23, 111]
    torch.testing.assert_close(F.normalize(first['embeddings'], dim=1), first['embeddings'])


def test_rows_that_are_not_finite_are_left_out() -> None:
    """A step in 16 bits may overflow; the GradScaler skips it, and the next step is sound."""
    queue = EmbeddingQueue(5, 2)
    rows, labels = rows_of(0, 4)
    broken = rows.clone()
    broken[1, 0], broken[2, 1] = float('nan'), float('inf')
    queue.put(broken, labels)
    found, numbers = queue.get()
    assert numbers.tolist() == [0, 3]
    assert torch.equal(found, F.normalize(rows[[0, 3]], dim=1))
    queue.put(torch.full((9, 2), float('nan')), torch.arange(9))
    assert queue.get()[1].tolist() == [0, 3]
