"""The block-by-block log-sum-exp against the matrix of all similarities, in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmcds.models.losses.blockwise import LEAST_TEMPERATURE, sum_logsumexp, sum_logsumexp_within


def inputs(anchors: int, keys: int, width: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(anchors * 100 + keys)
    z, k = (
        F.normalize(torch.randn(n, width, generator=generator, dtype=torch.float64), dim=1) for n in (anchors, keys)
    )
    own = torch.randint(keys, (anchors,), generator=generator)
    weights = torch.rand(anchors, generator=generator, dtype=torch.float64)
    weights[0] = 0
    return z.requires_grad_(), k.requires_grad_(), own, weights


def whole(z: Tensor, k: Tensor, own: Tensor, weights: Tensor, temperature: float) -> Tensor:
    similarity = (z @ k.T / temperature).scatter(1, own[:, None], float('-inf'))
    return (torch.logsumexp(similarity, 1) * weights).sum()


@pytest.mark.parametrize('rows', [1, 3, 7, 100, None])
@pytest.mark.parametrize('temperature', [0.01, 0.07, 1.0])
def test_value_and_gradients(rows: int | None, temperature: float) -> None:
    z, k, own, weights = inputs(7, 9)
    found = sum_logsumexp(z, k, own, weights, temperature, rows)
    expected = whole(z, k, own, weights, temperature)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(found * 3, (z, k)), torch.autograd.grad(expected * 3, (z, k)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('learns', ['both', 'anchors', 'keys', 'neither', 'the same tensor'])
def test_only_what_learns_gets_a_gradient(learns: str) -> None:
    z, k, own, weights = inputs(6, 6)
    if learns == 'the same tensor':
        k, own = z, torch.arange(6)
    z.requires_grad_(learns not in ('keys', 'neither'))
    k.requires_grad_(learns not in ('anchors', 'neither'))
    leaves = [each for each in dict.fromkeys((z, k)) if each.requires_grad]
    found, expected = sum_logsumexp(z, k, own, weights, 0.2, 4), whole(z, k, own, weights, 0.2)
    torch.testing.assert_close(found, expected)
    assert found.requires_grad == bool(leaves)
    if leaves:
        for ours, theirs in zip(torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves), strict=True):
            torch.testing.assert_close(ours, theirs)


def test_gradcheck() -> None:
    z, k, own, weights = inputs(5, 6)
    assert torch.autograd.gradcheck(lambda a, b: sum_logsumexp(a, b, own, weights, 0.3, 2), (z, k))


def test_the_backward_can_be_run_again_but_not_differentiated() -> None:
    z, k, own, weights = inputs(4, 5)
    found = sum_logsumexp(z, k, own, weights, 0.3, 2)
    first = torch.autograd.grad(found, z, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(found, z, retain_graph=True)[0])
    (gradient,) = torch.autograd.grad(sum_logsumexp(z, k, own, weights, 0.3, 2), z, create_graph=True)
    with pytest.raises(RuntimeError, match='does not require grad'):
        gradient.sum().backward()


def test_nothing_of_the_size_of_all_pairs_is_kept() -> None:
    """What autograd saves is two gradients, whatever the number of pairs."""
    z, k, own, weights = inputs(64, 48, width=4)
    saved: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        sum_logsumexp(z, k, own, weights, 0.3, 8)
    assert sorted(saved) == [48 * 4, 64 * 4]


@pytest.mark.parametrize('rows', [1, 3, 7, 100, None])
@pytest.mark.parametrize('temperature', [0.025, 0.07, 1.0])
def test_rows_among_themselves(rows: int | None, temperature: float) -> None:
    z, _, _, weights = inputs(8, 2)
    found = sum_logsumexp_within(z, weights, temperature, rows)
    expected = whole(z, z, torch.arange(8), weights, temperature)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    ours, theirs = (torch.autograd.grad(each * 3, z)[0] for each in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert not sum_logsumexp_within(z.detach(), weights, temperature, rows).requires_grad


def test_rows_among_themselves_gradcheck() -> None:
    z, _, _, weights = inputs(5, 2)
    assert torch.autograd.gradcheck(lambda a: sum_logsumexp_within(a, weights, 0.3, 2), z)


def test_the_least_temperature_is_safe_in_float32() -> None:
    """Opposite and equal rows, the widest range there is."""
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]).repeat(400, 1)[:-399]
    z = torch.cat([z, torch.tensor([[-1.0, 0.0]])]).requires_grad_()
    alone = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)  # its only neighbour lies opposite
    for rows in (z, alone):
        weights = torch.ones(len(rows))
        found = sum_logsumexp_within(rows, weights, LEAST_TEMPERATURE)
        expected = whole(rows.double(), rows.double(), torch.arange(len(rows)), weights.double(), LEAST_TEMPERATURE)
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
        assert torch.autograd.grad(found, rows)[0].isfinite().all()
