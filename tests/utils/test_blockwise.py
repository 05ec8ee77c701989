"""The sums block by block, for several taps at once, against the matrix of all similarities, in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmcds.utils.blockwise import LEAST_TEMPERATURE, Comparison, compare, contrastive_sums


def inputs(
    anchors: int, keys: int, taps: int = 2, width: int = 5, weighted: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """Keys (T, K, D), the rows of them that are anchors, in any order, the groups of both, and weights."""
    generator = torch.Generator().manual_seed(anchors * 100 + keys)
    k = F.normalize(torch.randn(taps, keys, width, generator=generator, dtype=torch.float64), dim=2)
    own = torch.arange(keys) if anchors == keys else torch.randperm(keys, generator=generator)[:anchors]
    groups = torch.randint(3, (keys,), generator=generator)
    groups[own[0]] = 7  # alone
    weights = torch.rand(keys, generator=generator, dtype=torch.float64) + 0.1 if weighted else None
    return k[:, own].clone().requires_grad_(), k.requires_grad_(), own, groups, weights


def whole(
    z: Tensor, k: Tensor, own: Tensor, groups: Tensor, temperature: float, weights: Tensor | None = None
) -> Tensor:
    """With masks of all pairs, one tap."""
    other = torch.arange(len(k)) != own[:, None]
    similarity = z @ k.T / temperature
    positive = ((groups[own][:, None] == groups) & other).double()
    if weights is not None:
        positive = positive * weights
    log_sum = torch.logsumexp(similarity.masked_fill(~other, float('-inf')), 1)
    share = positive / positive.sum(1, keepdim=True).clamp(min=1e-12)
    return ((log_sum[:, None] - similarity) * share).sum()


def compared(own: Tensor, groups: Tensor, temperature: float, weights: Tensor | None = None) -> Comparison:
    return compare(groups[own], groups, own, temperature, torch.float64, weights)


@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('rows', [1, 3, 7, 100, None])
@pytest.mark.parametrize('temperature', [0.01, 0.07, 1.0])
@pytest.mark.parametrize(('anchors', 'keys'), [(7, 9), (8, 8)])
def test_value_and_gradients(anchors: int, keys: int, temperature: float, rows: int | None, weighted: bool) -> None:
    z, k, own, groups, weights = inputs(anchors, keys, weighted=weighted)
    within = anchors == keys
    leaves = [k] if within else [z, k]
    found = contrastive_sums(k if within else z, k, compared(own, groups, temperature, weights), temperature, rows)
    expected = torch.stack(
        [whole(a, b, own, groups, temperature, weights) for a, b in zip(k if within else z, k, strict=True)]
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    factor = torch.tensor([3.0, -0.5], dtype=torch.float64)
    for ours, theirs in zip(
        torch.autograd.grad((found * factor).sum(), leaves),
        torch.autograd.grad((expected * factor).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize('learns', ['both', 'anchors', 'keys', 'neither', 'the same tensor'])
def test_only_what_learns_gets_a_gradient(learns: str) -> None:
    same = learns == 'the same tensor'
    z, k, own, groups, _ = inputs(6, 6 if same else 8)
    z.requires_grad_(learns in ('both', 'anchors'))
    k.requires_grad_(learns in ('both', 'keys') or same)
    leaves = [each for each in (z, k) if each.requires_grad]
    found = contrastive_sums(k if same else z, k, compared(own, groups, 0.2), 0.2, 4)
    expected = torch.stack([whole(a, b, own, groups, 0.2) for a, b in zip(k if same else z, k, strict=True)])
    torch.testing.assert_close(found, expected)
    assert found.requires_grad == bool(leaves)
    if leaves:
        pairs = (torch.autograd.grad(each.sum(), leaves) for each in (found, expected))
        for ours, theirs in zip(*pairs, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(('anchors', 'keys'), [(5, 6), (5, 5)])
@pytest.mark.parametrize('rows', [2, None])
def test_gradcheck(anchors: int, keys: int, rows: int | None) -> None:
    z, k, own, groups, _ = inputs(anchors, keys)
    who = compared(own, groups, 0.3)
    if anchors == keys:
        assert torch.autograd.gradcheck(lambda a: contrastive_sums(a, a, who, 0.3, rows), k)
    else:
        assert torch.autograd.gradcheck(lambda a, b: contrastive_sums(a, b, who, 0.3, rows), (z, k))


def test_the_backward_can_be_run_again_but_not_differentiated() -> None:
    z, k, own, groups, _ = inputs(4, 5)
    who = compared(own, groups, 0.3)
    found = contrastive_sums(z, k, who, 0.3, 2).sum()
    first = torch.autograd.grad(found, z, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(found, z, retain_graph=True)[0])
    (gradient,) = torch.autograd.grad(contrastive_sums(z, k, who, 0.3, 2).sum(), z, create_graph=True)
    with pytest.raises(RuntimeError, match='does not require grad'):
        gradient.sum().backward()


def test_nothing_of_the_size_of_all_pairs_is_kept() -> None:
    """What autograd saves is two gradients, whatever the number of pairs."""
    z, k, own, groups, _ = inputs(48, 64, taps=1, width=4)
    who = compared(own, groups, 0.3)
    saved: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        contrastive_sums(z, k, who, 0.3, 8)
    assert sorted(saved) == [48 * 4, 64 * 4]


def test_the_least_temperature_is_safe_in_float32() -> None:
    """Opposite and equal rows, the widest range there is."""
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]).repeat(400, 1)[:-399]
    z = torch.cat([z, torch.tensor([[-1.0, 0.0]])]).requires_grad_()
    alone = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)  # its only neighbour lies opposite
    for rows in (z, alone):
        groups, own = torch.zeros(len(rows), dtype=torch.long), torch.arange(len(rows))
        who = compare(groups, groups, own, LEAST_TEMPERATURE, torch.float32)
        taps = rows[None]
        found = contrastive_sums(taps, taps, who, LEAST_TEMPERATURE)[0]
        expected = whole(rows.double(), rows.double(), own, groups, LEAST_TEMPERATURE)
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-2)
        assert torch.autograd.grad(found, rows)[0].isfinite().all()


def test_who_is_compared_with_whom() -> None:
    # Anchors of groups 4, 4 and 9, which is alone among the keys but for -1, nobody's.
    who = compare(torch.tensor([4, 4, 9]), torch.tensor([4, 9, 4, 4, -1]), torch.tensor([0, 2, 1]), 0.5, torch.float64)
    assert who.has_positive.tolist() == [1, 1, 0]
    assert who.share.tolist() == [1, 1, 0]  # two positives, over tau
    assert float(who.count) == 2
