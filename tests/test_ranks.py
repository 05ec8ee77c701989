"""One, two and four processes against one that holds everything: the loss alone, and training under DDP."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from toys import RANDOM_PARTS, ToyDetector, gradients, run_ranks, total, toy_inputs

from mmcds.models import TwoViewForward
from mmcds.models.losses import ContrastiveLoss
from mmcds.utils import blockwise


@pytest.fixture(scope='module', params=[1, 2, 4])
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of so many processes found; they are started once for all tests."""
    return run_ranks(request.param, on_a_rank, tmp_path_factory.mktemp('ranks'))


def on_a_rank(rank: int, world: int) -> dict[str, Any]:
    return dict(loss=loss_on_a_rank(rank, world), training=[train(rank, world, cds, wrap='ddp') for cds in TRAINED])


# --- the loss: many rows, several blocks --------------------------------------------------------

#: Instances of each quarter of the data; of four ranks one has none.
QUARTERS: tuple[int, ...] = (20, 0, 13, 4)
QUEUED = 9


def share(rank: int, world: int) -> slice:
    """Which quarters a rank has."""
    return slice(rank * 4 // world, (rank + 1) * 4 // world)


def rows_of(rank: int, world: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Embeddings of both views, labels (some unknown), numbers and whether they are anchors, of a rank's instances."""
    starts = [sum(QUARTERS[:i]) for i in range(5)]
    quarters = share(rank, world)
    ids = torch.arange(starts[quarters.start], starts[quarters.stop])
    z = torch.randn(2, sum(QUARTERS), 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return z[:, ids].flatten(0, 1), (ids % 5 - 1).repeat(2), ids.repeat(2), (ids % 7 != 3).repeat(2)


def queue() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    vectors = torch.randn(QUEUED, 6, generator=generator, dtype=torch.float64)
    return F.normalize(vectors, dim=1), torch.arange(QUEUED) % 4 - 1


def dense(positives: str, queued: bool) -> tuple[Tensor, Tensor]:
    """Loss over the union from the matrix of all pairs, and its gradient."""
    rows, labels, ids, anchors = rows_of(0, 1)
    rows.requires_grad_()
    keys, tags = F.normalize(rows, dim=1), torch.where((labels >= 0) & (positives == 'class'), labels, 1000 + ids)
    key_tags = torch.where(anchors, tags, -1)
    if queued:
        vectors, their_labels = queue()
        keys = torch.cat([keys, vectors])
        key_tags = torch.cat([key_tags, their_labels if positives == 'class' else torch.full_like(their_labels, -1)])
    pairs = (tags[:, None] == key_tags[None]).double().fill_diagonal_(0)
    scores = (keys[: len(rows)] @ keys.T / 0.1).fill_diagonal_(-1e9)
    log_probability = scores - scores.logsumexp(1, keepdim=True)
    counted = anchors & (pairs.sum(1) > 0)
    loss = -((pairs * log_probability).sum(1)[counted] / pairs.sum(1)[counted]).mean()
    return loss.detach(), torch.autograd.grad(loss, rows)[0]


CASES = [('class', False), ('class', True), ('instance', True)]


def loss_on_a_rank(rank: int, world: int) -> list[tuple[Tensor, Tensor]]:
    blockwise.BLOCK_ELEMENTS['cpu'] = 1  # the least number of rows in a block: 16
    results = []
    for positives, queued in CASES:
        rows, labels, ids, anchors = rows_of(rank, world)
        rows.requires_grad_()
        own = ids - ids.min() if len(ids) else ids  # numbers are a rank's own
        criterion = ContrastiveLoss(0.1, positives)
        loss = criterion(F.normalize(rows, dim=1), labels, own, anchors, queue() if queued else None)
        results.append((loss.detach(), torch.autograd.grad(loss, rows)[0]))
    return results


def test_the_loss_is_that_of_the_union(ranks: list[dict[str, Any]]) -> None:
    """DDP's average of values and gradients against a matrix of all pairs."""
    world = len(ranks)
    assert [len(each['loss'][0][1]) // 2 for each in ranks] == [sum(QUARTERS[share(r, world)]) for r in range(world)]
    for case, (positives, queued) in enumerate(CASES):
        expected, gradient = dense(positives, queued)
        mean = torch.stack([each['loss'][case][0] for each in ranks]).mean()
        torch.testing.assert_close(mean, expected, rtol=1e-9, atol=0)
        # Each rank's rows hold both views; the union's hold view 1 of all, then view 2.
        views = zip(*(each['loss'][case][1].chunk(2) for each in ranks), strict=True)
        found = torch.cat([torch.cat(view) for view in views]) / world
        torch.testing.assert_close(found, gradient, rtol=1e-8, atol=1e-12)
        assert gradient.abs().max() > 1e-3


# --- training: a model under DDP ----------------------------------------------------------------

#: Instances of each of eight images; with four ranks the second has none.
COUNTS = (2, 1, 0, 0, 0, 3, 5, 0)
TRAINED: list[dict[str, Any]] = [
    dict(queue_length=16, view=dict(scale=0.5)),
    dict(loss=dict(type='ContrastiveLoss', positives='instance'), concat=True),
]


def train(rank: int, world: int, cds: dict[str, Any], wrap: str | None = None) -> dict[str, Any]:
    """Three steps of gradient descent on a rank's images."""
    # Nothing is drawn, since ranks draw apart.
    view = dict(type='PhotometricView', **RANDOM_PARTS, **cds.get('view', {}))
    torch.manual_seed(0)
    model = ToyDetector(**{**cds, 'view': view}).double().train()
    TwoViewForward(model).attach()
    step: Any = DistributedDataParallel(model) if wrap == 'ddp' else model
    if wrap == 'fsdp':
        fully_shard(model, mesh=init_device_mesh('cpu', (world,)))  # one unit: backbone, neck and heads together
    images, samples = toy_inputs(COUNTS)
    each = len(COUNTS) // world
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        found = step(images[rank * each :][:each], samples[rank * each :][:each], mode='loss')
        total(found).backward()
        optimizer.step()
        losses.append({name: value.detach() for name, value in found.items()})
    whole = {name: full(value) for name, value in model.state_dict().items()}
    return dict(losses=losses, gradients={n: full(g) for n, g in gradients(model).items()}, state=whole)


def full(value: Tensor) -> Tensor:
    """All shards of a tensor that is sharded."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def test_training_is_that_of_the_union(ranks: list[dict[str, Any]]) -> None:
    """Losses of three steps, the last gradients, and the weights and queues that they lead to."""
    for case, cds in enumerate(TRAINED):
        expected = train(0, 1, cds)
        for step, losses in enumerate(expected['losses']):
            for name, value in losses.items():
                mean = torch.stack([each['training'][case]['losses'][step][name] for each in ranks]).mean()
                torch.testing.assert_close(mean, value, rtol=1e-6, atol=0, msg=f'{name}, step {step}')
                assert value > 1e-3
        for each in ranks:
            for kind in ('gradients', 'state'):
                found = each['training'][case][kind]
                assert set(found) == set(expected[kind])
                for name, value in expected[kind].items():
                    torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9, msg=f'{kind} {name}')
        assert any('queues' in name for name in expected['state']) == ('queue_length' in cds)


def sharded_on_a_rank(rank: int, world: int) -> dict[str, Any]:
    return train(rank, world, TRAINED[0], wrap='fsdp')


def test_sharded_training_is_that_of_the_union(tmp_path: Path) -> None:
    """FSDP over two ranks, the whole model one unit."""
    expected = train(0, 1, TRAINED[0])
    for each in run_ranks(2, sharded_on_a_rank, tmp_path):
        for kind in ('gradients', 'state'):
            assert set(each[kind]) == set(expected[kind])
            for name, value in expected[kind].items():
                torch.testing.assert_close(each[kind][name], value, rtol=1e-6, atol=1e-9, msg=f'{kind} {name}')
