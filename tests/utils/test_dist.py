"""The gather's value and gradient in real processes against one process that holds all rows."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toys import run_ranks

from mmcds.utils.dist import gather_counts, gather_rows, get_rank, get_world_size


def counts_of(world: int) -> list[int]:
    return [3, 0] if world == 2 else [2, 0, 5]


def rows_of(rank: int, count: int) -> Tensor:
    return torch.arange(count * 2, dtype=torch.float64).reshape(count, 2) + 10 * rank + 1


def loss_of(rows: Tensor, rank: int) -> Tensor:
    """Each rank makes another use of all rows."""
    weight = torch.arange(1, rows.numel() + 1, dtype=rows.dtype).reshape(rows.shape)
    return (rows.pow(2 + rank) * weight).sum() + rows.prod(1).sum()


def gather_on_a_rank(rank: int, world: int) -> dict[str, Any]:
    count = counts_of(world)[rank]
    rows = rows_of(rank, count).requires_grad_()
    counts = gather_counts(count, rows.device)
    gathered = gather_rows(rows, counts)
    loss_of(gathered, rank).backward()
    nothing = torch.zeros(0, 2, requires_grad=True)
    empty = gather_rows(nothing, gather_counts(0, rows.device))
    empty.sum().backward()
    integers = gather_rows(torch.full((count,), 2**40 + rank), counts)
    return dict(
        rank=get_rank(),
        world=get_world_size(),
        counts=counts,
        gathered=gathered.detach(),
        gradient=rows.grad,
        empty=empty.shape,
        integers=integers,
    )


@pytest.mark.parametrize('world', [2, 3])
def test_gather_equals_one_process(world: int, tmp_path: Path) -> None:
    results = run_ranks(world, gather_on_a_rank, tmp_path)
    counts = counts_of(world)
    union = torch.cat([rows_of(rank, count) for rank, count in enumerate(counts)]).requires_grad_()
    torch.stack([loss_of(union, rank) for rank in range(world)]).sum().backward()
    assert union.grad is not None
    for rank, (result, expected) in enumerate(zip(results, union.grad.split(counts), strict=True)):
        assert (result['rank'], result['world'], result['counts']) == (rank, world, counts)
        assert torch.equal(result['gathered'], union.detach())
        torch.testing.assert_close(result['gradient'], expected, rtol=1e-12, atol=0)
        assert result['empty'] == (0, 2)
        assert result['integers'].tolist() == [2**40 + r for r, count in enumerate(counts) for _ in range(count)]


def test_a_single_process_needs_no_group() -> None:
    rows = torch.ones(3, 2, requires_grad=True)
    assert (get_rank(), get_world_size()) == (0, 1)
    assert gather_rows(rows, gather_counts(3, rows.device)) is rows
