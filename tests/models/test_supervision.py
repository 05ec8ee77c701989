"""The contrast of a step put together by hand from features, and what it keeps apart."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from toys import RANDOM_PARTS

from mmcds.models import ContrastiveLoss, ContrastiveSupervision, MLPProjector, ViewPair
from mmcds.models.step_data import Features, Tap, feature_of

TAPS = [Tap('backbone', 0, 4, 1), Tap('neck', 1, 3, 0)]


def supervision(taps: list[Tap] = TAPS, **arguments: Any) -> ContrastiveSupervision:
    options: dict[str, Any] = dict(
        view=dict(type='PhotometricView', **RANDOM_PARTS),
        sampler=dict(type='ImageSampler'),
        projector=dict(type='MLPProjector', out_channels=5),
        loss=dict(type='ContrastiveLoss', temperature=0.2),
        loss_weight=[0.5, 2.0],
        queue_length=0,
        stop_gradient=False,
        concat=False,
    )
    torch.manual_seed(0)
    return ContrastiveSupervision(taps=taps, **{**options, **arguments})


def views_of(labels: list[int], boxes: list[int] | None = None) -> ViewPair:
    count = len(labels)
    sizes = torch.tensor([[16.0, 16.0]] * count)
    rows = [torch.tensor([[2.0, 2.0, 12.0, 14.0]] * n).reshape(-1, 4) for n in boxes or [0] * count]
    numbers = [torch.arange(len(each)) for each in rows]
    return ViewPair(((16, 16), (16, 16)), (sizes, sizes), torch.tensor(labels), (rows, rows), numbers, None)


def features_of(count: int, seed: int = 1) -> Features:
    generator = torch.Generator().manual_seed(seed)

    def view() -> dict[str, Any]:
        feature, other = (
            torch.randn(count, 4, 4, 4, generator=generator),
            torch.randn(count, 3, 2, 2, generator=generator),
        )
        return {'backbone': (feature.requires_grad_(),), 'neck': (torch.zeros(count, 9, 1, 1), other.requires_grad_())}

    return Features(view(), view())


def nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """SimCLR's loss as a cross entropy over 2N - 1 others."""
    z = F.normalize(torch.cat([first, second]), dim=1)
    logits = (z @ z.T / temperature).fill_diagonal_(float('-inf'))
    count = len(first)
    return F.cross_entropy(logits, torch.cat([torch.arange(count) + count, torch.arange(count)]))


def test_losses_are_weighted_and_named_by_tap() -> None:
    cds, features = supervision(), features_of(3)
    cds.weight = 0.25
    found = cds.losses(features, views_of([-1, -1, -1]))
    assert list(found) == ['loss_cds_backbone0', 'loss_cds_neck1']
    for tap, weight in zip(TAPS, (0.5, 2.0), strict=True):
        first, second = (cds.projectors[tap.key](features.of(tap, v)) for v in (0, 1))
        expected = nt_xent(first, second, 0.2) * weight * 0.25
        torch.testing.assert_close(found[f'loss_cds_{tap.key}'], expected)
        assert expected > 0.01


@pytest.mark.parametrize('projector', ['MLPProjector', 'IdentityProjector'])
def test_views_projected_together_are_the_views_one_by_one(projector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A projector that says it works row by row gets the crops of both views at once."""
    found = []
    for together in (True, False):
        cds = supervision(projector=dict(type=projector), sampler=dict(type='InstanceSampler', roi_size=1))
        calls: list[int] = []
        for each in cds.projectors.values():
            monkeypatch.setattr(type(each), 'row_by_row', together)
            each.register_forward_hook(lambda module, args, output, calls=calls: calls.append(len(args[0])))
        features = features_of(3)
        losses = cds.losses(features, views_of([0, 1, 0], [2, 1, 1]))
        assert calls == ([8, 8] if together else [4, 4, 4, 4])
        torch.stack(list(losses.values())).sum().backward()
        maps = [view['backbone'][0] for view in (features.first, features.second)]
        gradients = [each.grad for each in (*maps, *cds.projectors.parameters())]
        found.append([*map(torch.Tensor.detach, losses.values()), *gradients])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
        assert one.abs().max() > 1e-4


def test_whole_maps_of_two_sizes_are_projected_one_by_one() -> None:
    cds, features = supervision(), features_of(3)
    features.second['backbone'] = (torch.randn(3, 4, 2, 2),)
    calls: list[int] = []
    for each in cds.projectors.values():
        each.register_forward_hook(lambda module, args, output: calls.append(len(args[0])))
    assert all(loss > 0 for loss in cds.losses(features, views_of([0, 1, 0])).values())
    # The other tap's maps are alike, and still not copied into one batch.
    assert calls == [3, 3, 3, 3]


class NormedMLP(MLPProjector):
    """What a user might add: every row now depends on the others, which the parent's promise does not know."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm = torch.nn.BatchNorm1d(self.out_channels)
        self.rows: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.rows.append(len(x))
        return self.norm(super().forward(x))


class OwnLoss(ContrastiveLoss):
    """What a user might write, with the arguments that docs/extending.md tells."""

    def forward(self, embeddings: Any, labels: Any, ids: Any, is_anchor: Any, queue: Any = None) -> Any:  # type: ignore[override]
        return super().forward(embeddings, labels, ids, is_anchor, queue) * 2


def test_what_inherits_from_a_part_is_not_taken_for_it() -> None:
    options: dict[str, Any] = dict(sampler=dict(type='InstanceSampler', roi_size=1), queue_length=4)
    views = views_of([0, 1, 0], [2, 1, 1])
    normed, doubled = supervision(**options), supervision(**options)
    for tap in TAPS:
        normed.projectors[tap.key] = NormedMLP(in_channels=tap.channels, out_channels=5)
    normed.losses(features_of(3), views)
    assert [each.rows for each in normed.projectors.values()] == [[4, 4], [4, 4]]
    doubled.loss = OwnLoss(0.2)
    found = doubled.losses(features_of(3), views)
    for name, loss in supervision(**options).losses(features_of(3), views).items():
        torch.testing.assert_close(found[name], loss * 2)


def test_queue_holds_the_embeddings_of_the_second_view_of_past_steps() -> None:
    cds = supervision(queue_length=4)
    steps = [(features_of(3, seed), views_of(labels)) for seed, labels in ((1, [0, 1, -1]), (2, [1, 1, 0]))]
    before = cds.losses(*steps[1])['loss_cds_backbone0']  # an empty queue changes nothing
    assert torch.equal(before, supervision().losses(*steps[1])['loss_cds_backbone0'])
    cds = supervision(queue_length=4)
    cds.losses(*steps[0])
    queue: Any = cds.queues['backbone0']
    expected = F.normalize(cds.projectors['backbone0'](steps[0][0].second['backbone'][0]), dim=1)
    torch.testing.assert_close(queue.get()[0], expected)
    assert queue.get()[1].tolist() == [0, 1, -1]
    assert not torch.equal(cds.losses(*steps[1])['loss_cds_backbone0'], before)
    assert sorted(queue.get()[1].tolist()) == [-1, 0, 1, 1]  # the newest four of six
    assert set(cds.queues) == {'backbone0', 'neck1'}


def test_stop_gradient_is_of_the_second_view_and_of_the_projector_there() -> None:
    features, views = features_of(3), views_of([-1] * 3)
    cds = supervision(stop_gradient=True)
    sum(cds.losses(features, views).values()).backward()  # type: ignore[union-attr]
    for source, index in (('backbone', 0), ('neck', 1)):
        assert features.first[source][index].grad.abs().sum() > 0
        assert features.second[source][index].grad is None
    # The projector learns from view 1 alone: the same gradient as with the second embedding as a constant.
    z = F.normalize(cds.projectors['backbone0'](features.first['backbone'][0]), dim=1)
    constant = F.normalize(cds.projectors['backbone0'](features.second['backbone'][0]), dim=1).detach()
    parameters = list(cds.projectors['backbone0'].parameters())
    expected = torch.autograd.grad(nt_xent(z, constant, 0.2) * 0.5, parameters)
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize('projector', ['MLPProjector', 'SepConvProjector', 'IdentityProjector'])
@pytest.mark.parametrize('boxes', [[0, 0], [1, 0], [0, 2]])
def test_few_instances_are_finite_and_every_parameter_is_connected(projector: str, boxes: list[int]) -> None:
    cds = supervision(
        sampler=dict(type='InstanceSampler', roi_size=1), projector=dict(type=projector), queue_length=2
    ).train()
    features = features_of(2)
    losses = cds.losses(features, views_of([-1, -1], boxes))
    torch.stack(list(losses.values())).sum().backward()
    assert all(loss.isfinite() for loss in losses.values())
    for name, parameter in cds.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if boxes == [0, 0]:
            assert (parameter.grad == 0).all(), name
    # Both views, also of no instance at all: other ranks' backward passes wait for this one's.
    assert all(
        view[tap.source][tap.index].grad is not None for view in (features.first, features.second) for tap in TAPS
    )
    if boxes == [0, 0]:
        assert [loss.item() for loss in losses.values()] == [0, 0]


def test_zero_losses_are_connected_even_to_weights_that_are_not_finite() -> None:
    cds = supervision()
    next(iter(cds.parameters())).data.fill_(float('inf'))
    losses = cds.zero_losses()
    assert {key: loss.item() for key, loss in losses.items()} == {'loss_cds_backbone0': 0, 'loss_cds_neck1': 0}
    torch.stack(list(losses.values())).sum().backward()
    for parameter in cds.parameters():
        assert parameter.grad is not None
        assert (parameter.grad == 0).all()
    identity = supervision(projector=dict(type='IdentityProjector'))
    assert [loss.item() for loss in identity.zero_losses().values()] == [0, 0]


def test_contrast_is_float32_under_autocast() -> None:
    features = features_of(3)
    expected = supervision().losses(features, views_of([-1] * 3))
    with torch.autocast('cpu', torch.bfloat16):
        found = supervision().losses(features, views_of([-1] * 3))
    for key, value in expected.items():
        assert found[key].dtype == torch.float32
        assert torch.equal(found[key], value)
    low = [
        {source: tuple(f.bfloat16() for f in fs) for source, fs in view.items()}
        for view in (features.first, features.second)
    ]
    with torch.autocast('cpu', torch.bfloat16):
        found = supervision().losses(Features(*low), views_of([-1] * 3))
    for key, value in expected.items():
        assert found[key].dtype == torch.float32
        torch.testing.assert_close(found[key], value, rtol=0.02, atol=0.02)


def test_uses_neck() -> None:
    assert supervision().uses_neck
    assert not supervision(taps=TAPS[:1], loss_weight=1.0).uses_neck


def test_feature_of_takes_vectors_and_names_what_does_not_fit() -> None:
    tap = Tap('backbone', 1, 4, 0)
    assert feature_of(tap, {'backbone': (None, torch.zeros(2, 4))}).shape == (2, 4, 1, 1)
    with pytest.raises(
        ValueError, match=r"^neck\.taps='backbone\.1': the backbone returned 1 outputs; name one of \['back"
    ):
        feature_of(tap, {'backbone': (torch.zeros(2, 4, 3, 3),)})
    for wrong, shape in (
        (torch.zeros(2, 5, 3, 3), r'\(2, 5, 3, 3\)'),
        (torch.zeros(2, 9, 4), r'\(2, 9, 4\)'),
        ([], 'list'),
    ):
        with pytest.raises(
            ValueError, match=rf'\(N, 4, h, w\), the backbone returned {shape}; set channels=dict\(backb'
        ):
            feature_of(tap, {'backbone': (None, wrong)})


@pytest.mark.parametrize(
    'sampler',
    [
        dict(type='DenseSampler', grid_size=5),
        dict(type='PixelSampler', stride=16),
        dict(type='InstanceSampler', background=8),
    ],
)
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_places_are_exact_under_autocast(sampler: dict[str, Any], dtype: torch.dtype) -> None:
    """Of an image of a usual size; 16 bits are off by a pixel there. Recomputed in float64."""
    size, scale = (800, 1333), 0.37
    sizes = torch.tensor([[float(side) for side in size]])
    map_ = torch.tensor([[scale, 0.02, 3.0], [-0.01, scale, 5.0], [0.0, 0.0, 1.0]])
    boxes = torch.tensor([[700.0, 301.0, 901.0, 533.0]])
    views = ViewPair(
        (size, size),
        (sizes, sizes),
        torch.tensor([-1]),
        ([boxes], [boxes]),
        [torch.tensor([1])],
        map_[None],
        pixels=torch.ones(1, *size, dtype=torch.long),
    )
    cds = supervision(sampler=sampler)
    with torch.autocast('cpu', dtype):
        samples = cds.sample(views)
    first, second = (rois[~samples.is_anchor] if 'background' in sampler else rois for rois in samples.rois)
    assert len(first) > 4
    x, y = first[:, 1].double(), first[:, 2].double()
    a, b = map_[:2].double().unbind(0)
    if 'background' in sampler:
        corners = [
            (x, y),
            (x, first[:, 4].double()),
            (first[:, 3].double(), y),
            (first[:, 3].double(), first[:, 4].double()),
        ]
        moved = torch.stack([torch.stack([u * row[0] + v * row[1] + row[2] for row in (a, b)], 1) for u, v in corners])
        expected = torch.cat([moved.amin(0), moved.amax(0)], 1)
    else:
        expected = torch.stack([x * row[0] + y * row[1] + row[2] for row in (a, b)], 1)
    torch.testing.assert_close(second[:, 1:].double(), expected, rtol=1e-6, atol=1e-3)


def test_a_model_of_16_bits_is_supervised() -> None:
    cds = supervision().to(torch.bfloat16)
    features = features_of(3)
    low = [
        {source: tuple(f.bfloat16() for f in fs) for source, fs in view.items()}
        for view in (features.first, features.second)
    ]
    found, expected = cds.losses(Features(*low), views_of([-1] * 3)), supervision().losses(features, views_of([-1] * 3))
    for key, value in expected.items():
        assert found[key].dtype == torch.float32
        torch.testing.assert_close(found[key], value, rtol=0.03, atol=0.03)
