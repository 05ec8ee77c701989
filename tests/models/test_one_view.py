"""The contrast within the task's view, and small second views packed into the task's batch."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pooling import boxes_of, pooled_boxes
from torch import Tensor, nn
from torchvision.ops import box_iou
from toys import ToyDetector, build, flat, gradients, total, toy_batch, toy_inputs, toy_model

from mmcds import add_cds
from mmcds.models import DenseSampler, InstanceSampler, Samples, SingleView, TwoViewForward
from mmcds.models.views.packing import Packing, packing_of


def test_both_views_are_the_first() -> None:
    inputs, samples = toy_inputs([2, 0, 1])
    samples[2].set_metainfo(dict(img_shape=(20, 30)))
    drawn = torch.get_rng_state()
    second, views = SingleView()(inputs, samples, nn.Identity())
    assert second is None
    assert torch.equal(torch.get_rng_state(), drawn)
    assert views.input_sizes == ((32, 32), (32, 32))
    for v in range(2):
        assert views.image_sizes[v].tolist() == [[32, 32], [32, 32], [20, 30]]
        for found, sample in zip(views.boxes[v], samples, strict=True):
            assert torch.equal(found, sample.gt_instances.bboxes)
    assert [each.tolist() for each in views.labels] == [sample.gt_instances.labels.tolist() for sample in samples]
    assert views.image_labels.tolist() == [-1, -1, -1]
    assert torch.equal(views.between(), torch.eye(3).expand(3, 3, 3))


SINGLE: dict[str, Any] = dict(view=dict(type='SingleView'))
PLACES: dict[str, Any] = dict(**SINGLE, sampler=dict(type='InstanceSampler', jitter=0.2, near=2))
PACKED: dict[str, Any] = dict(concat=True, view=dict(type='PhotometricView', scale=0.5))
BACKBONE = ['loss_cds_backbone0', 'loss_cds_backbone1']


def toy(**arguments: Any) -> Any:
    torch.manual_seed(0)
    return ToyDetector(**arguments).double().train()


def step(model: Any, counts: tuple[int, ...] = (3, 4)) -> dict[str, Tensor]:
    images, samples = toy_inputs(counts)
    return model(images, samples, mode='loss')


def supcon_by_hand(rows: Tensor, labels: list[int]) -> float:
    similarity = (rows @ rows.T / 0.07).tolist()
    losses = []
    for i, label in enumerate(labels):
        others = [j for j in range(len(labels)) if j != i]
        same = [j for j in others if labels[j] == label]
        if same:
            log_sum = math.log(sum(math.exp(similarity[i][j]) for j in others))
            losses.append(sum(log_sum - similarity[i][j] for j in same) / len(same))
    return sum(losses) / len(losses)


def test_the_loss_is_that_of_the_annotated_boxes_of_one_view() -> None:
    model = toy(**SINGLE)
    TwoViewForward(model).attach()
    counts = (3, 4)
    losses = step(model, counts)
    assert model.backbone.calls == [2]
    images, samples = toy_inputs(counts)
    labels = [label for sample in samples for label in sample.gt_instances.labels.tolist()]
    for feature, name, projector in zip(
        model.backbone(images), BACKBONE, model.neck.cds.projectors.values(), strict=True
    ):
        pooled = pooled_boxes(feature, boxes_of(samples), 32)
        rows = F.normalize(projector(pooled[:, :, None, None]), dim=1)
        assert losses[name].item() == pytest.approx(0.5 * supcon_by_hand(rows.detach(), labels), rel=1e-6)


@pytest.mark.parametrize('name', ['faster_rcnn', 'retinanet'])
@pytest.mark.parametrize('form', [SINGLE, PLACES], ids=['one view', 'more places'])
def test_the_task_does_not_notice(name: str, form: dict[str, Any]) -> None:
    """Task losses, running statistics, random numbers and inference, bit for bit."""
    cfg = toy_model(name)
    stock = build(cfg)
    cds = build(add_cds(cfg, **form), like=stock)
    forward = TwoViewForward(cds).attach()
    forward.begin_step(seed=3)
    results = []
    for model in (stock, cds):
        torch.manual_seed(5)
        losses = flat(model(**toy_batch(model, 3), mode='loss'))
        statistics = {key: value.clone() for key, value in model.named_buffers() if '.cds.' not in key}
        with torch.no_grad():
            output = model.eval().extract_feat(toy_batch(model, 2)['inputs'])
        results.append((losses, torch.get_rng_state(), statistics, output))
        model.train()
    (expected, state, statistics, output), (found, cds_state, cds_statistics, cds_output) = results
    assert len(set(found) - set(expected)) == 4
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert torch.equal(state, cds_state)
    assert all(torch.equal(cds_statistics[key], value) for key, value in statistics.items())
    torch.testing.assert_close(cds_output, output, rtol=0, atol=0)


@pytest.mark.parametrize('form', [SINGLE, PLACES, PACKED], ids=['one view', 'more places', 'packed'])
def test_the_gradient_is_the_numerical_one(form: dict[str, Any]) -> None:
    model = toy(**form)
    forward = TwoViewForward(model).attach()
    weight = model.backbone.stages[0][0].weight

    def loss_at(values: Tensor) -> Tensor:
        weight.data.copy_(values.data)
        forward.begin_step(seed=1)
        return total({key: loss for key, loss in step(model).items() if 'cds' in key})

    start = weight.detach().clone()
    model.zero_grad()
    loss_at(start).backward()
    analytic = weight.grad.clone()
    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        slope = (loss_at(start + 1e-6 * direction) - loss_at(start - 1e-6 * direction)) / 2e-6
    # The images of the second view are drawn in float32.
    torch.testing.assert_close((analytic * direction).sum(), slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('counts', [(0, 0), (1, 0)], ids=['no instance', 'one instance'])
@pytest.mark.parametrize('form', [SINGLE, PLACES, PACKED], ids=['one view', 'more places', 'packed'])
def test_nothing_to_contrast_is_a_connected_zero(form: dict[str, Any], counts: tuple[int, ...]) -> None:
    model = toy(**form)
    TwoViewForward(model).attach()
    losses = step(model, counts)
    if form is SINGLE or not any(counts):
        assert [losses[name].item() for name in BACKBONE] == [0, 0]
    total(losses).backward()
    found = gradients(model)
    assert {name for name, _ in model.named_parameters()} == set(found)
    assert all(gradient.isfinite().all() for gradient in found.values())


@pytest.mark.parametrize('form', [SINGLE, PLACES, PACKED], ids=['one view', 'more places', 'packed'])
def test_the_contrast_is_float32_under_autocast(form: dict[str, Any]) -> None:
    model = toy(**form).float()
    TwoViewForward(model).attach()
    images, samples = toy_inputs((3, 4))
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(images.float(), samples, mode='loss')
    for name in BACKBONE:
        assert losses[name].dtype == torch.float32
        assert losses[name] > 0.1
    total(losses).backward()
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(loss=dict(type='ContrastiveLoss', positives='instance')), r"^neck\.loss\.positives='instance' with view"),
        (dict(sampler=dict(type='DenseSampler')), r"^neck\.sampler=dict\(type='DenseSampler'\) with view"),
        (dict(stop_gradient=True), r"^neck\.stop_gradient=True with view=dict\(type='SingleView'\): .*set stop_grad"),
        (dict(distill=dict()), r'^neck\.distill follows the teacher in both views'),
        (dict(sampler=dict(type='InstanceSampler', jitter=0.6)), r'^sampler\.jitter=0\.6'),
        (dict(sampler=dict(type='InstanceSampler', near_iou=(0.4, 0.1))), r'^sampler\.near_iou=0\.1'),
        (dict(sampler=dict(type='InstanceSampler', near=-1)), r'^sampler\.near=-1'),
        (dict(sampler=dict(type='InstanceSampler', near_iou=0.3)), r'^sampler\.near_iou=0\.3 is no range; give two'),
    ],
)
def test_what_one_view_cannot_do_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        toy(**{**SINGLE, **arguments})


class PlainLoss(torch.nn.Module):
    def forward(self, embeddings: Tensor, labels: Tensor, ids: Tensor, is_anchor: Tensor, queue: Any = None) -> Tensor:
        return embeddings.square().sum() * 0


def test_a_loss_that_takes_no_weights_is_refused_where_the_sampler_gives_them() -> None:
    parts = dict(loss=dict(type=PlainLoss), sampler=dict(type='InstanceSampler', jitter=0.2, jitter_weighted=True))
    with pytest.raises(ValueError, match=r'^neck\.sampler\.jitter_weighted=True weighs positives, but'):
        toy(**SINGLE, **parts)


def test_jittered_boxes_are_positives_of_an_instance_by_itself() -> None:
    model = toy(
        **SINGLE,
        sampler=dict(type='InstanceSampler', jitter=0.2),
        loss=dict(type='ContrastiveLoss', positives='instance'),
    )
    TwoViewForward(model).attach()
    assert all(step(model, (2, 1))[name] > 0.01 for name in BACKBONE)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(view=dict(type='PhotometricView', scale=0.75)), r'^neck\.view\.scale=0\.75 with concat=True: only'),
        (dict(sampler=dict(type='ImageSampler')), r'^neck\.view\.scale=0\.5 .* ImageSampler cannot tell apart'),
        (dict(distill=dict()), r'^neck\.view\.scale=0\.5 with concat=True and distill'),
    ],
)
def test_what_cannot_be_packed_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        toy(**{**PACKED, **arguments})


# --- places of the sampler -----------------------------------------------------------------------


def sampled(sampler: InstanceSampler, counts: tuple[int, ...] = (5, 7), size: int = 256) -> tuple[Samples, Any]:
    torch.manual_seed(0)
    images, samples = toy_inputs(counts, size=size)
    _, views = SingleView()(images.float(), samples, torch.nn.Identity())
    return sampler.sample(views), samples


def test_jittered_boxes_stay_within_their_share() -> None:
    samples, _ = sampled(InstanceSampler(jitter=0.25, jitter_weighted=True))
    assert len(samples) == 24
    assert samples.objects is not None
    assert samples.weights is not None
    assert samples.is_anchor.all()
    assert samples.rois[0] is samples.rois[1]
    for number in samples.objects.unique().tolist():
        first, second = (samples.objects == number).nonzero().flatten().tolist()
        assert samples.labels[first] == samples.labels[second]
        box, moved = samples.rois[0][first, 1:], samples.rois[0][second, 1:]
        assert samples.rois[0][first, 0] == samples.rois[0][second, 0]
        wh = box[2:] - box[:2]
        shift = ((box[:2] + box[2:]) - (moved[:2] + moved[2:])).abs() / 2 / wh
        assert 0 < shift.max() <= 0.25 + 1e-5
        assert (((moved[2:] - moved[:2]) / wh - 1).abs() <= 0.25 + 1e-5).all()
        assert samples.weights[first] == 1
        assert float(samples.weights[second]) == pytest.approx(float(box_iou(box[None], moved[None])), rel=1e-4)


@pytest.mark.parametrize('low_high', [(0.1, 0.4), (0.2, 0.3)])
def test_near_boxes_overlap_one_object_little_and_no_other_much(low_high: tuple[float, float]) -> None:
    low, high = low_high
    samples, data_samples = sampled(InstanceSampler(near=4, near_iou=low_high))
    near = ~samples.is_anchor
    assert near.sum() > 10
    assert (samples.labels[near] == -1).all()
    for i, boxes in enumerate(boxes_of(data_samples)):
        mine = samples.rois[0][near & (samples.rois[0][:, 0] == i), 1:]
        iou = box_iou(mine, boxes)
        assert (iou.amax(1) <= high + 1e-4).all()
        assert ((iou >= low - 1e-4) & (iou <= high + 1e-4)).any(1).all()
        assert ((mine >= 0) & (mine <= 256)).all()


# --- packing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('count', 'canvases', 'order'),
    [(1, 1, [0, 0, 0, 0]), (2, 1, [0, 1, 0, 1]), (3, 1, [0, 1, 2, 0]), (5, 2, [0, 1, 2, 3, 4, 0, 1, 2])],
)
def test_each_tile_shows_its_image_at_its_place(count: int, canvases: int, order: list[int]) -> None:
    """Points of the second views, moved to the canvases, read the value that they had in their own tile."""
    packing = packing_of((33, 48), (16, 32), 0.5, count)
    assert (packing.tile, packing.grid, packing.order) == ((16, 24), (2, 2), order)
    tiles = torch.rand(len(order), 3, 16, 24)
    canvas = packing.pack(tiles)
    assert canvas.shape == (canvases, 3, 33, 48)
    assert (canvas[:, :, 32] == 0).all()
    points = torch.tensor([[i, x, y] for i in range(count) for x, y in ((0.0, 0.0), (23.0, 15.0), (5.0, 9.0))])
    samples = Samples((points, points), torch.zeros(len(points)), torch.ones(len(points), dtype=torch.bool))
    placed = packing.place(samples)
    assert placed.shown is not None
    assert len(placed.shown) == 3 * len(order)
    seen: dict[int, list[Tensor]] = {}
    for (image, x, y), place in zip(placed.rois[1].long().tolist(), placed.shown.tolist(), strict=True):
        seen.setdefault(place, []).append(canvas[image, :, y, x])
    for place, (image, x, y) in enumerate(points.long().tolist()):
        expected = [tiles[t, :, y, x] for t, shown in enumerate(order) if shown == image]
        assert sorted(map(Tensor.tolist, seen[place])) == sorted(map(Tensor.tolist, expected))


def test_packed_views_are_one_batch_of_the_backbone() -> None:
    model = toy(**PACKED)
    TwoViewForward(model).attach()
    losses = step(model, (3, 4, 2))
    # Three images and one canvas of four tiles.
    assert model.backbone.calls == [4]
    assert all(losses[name] > 0.1 for name in BACKBONE)
    plain = toy(**SINGLE)
    torch.testing.assert_close(losses['loss_task'], step(plain, (3, 4, 2))['loss_task'], rtol=1e-12, atol=0)


def test_the_rows_of_packed_views_know_their_instances() -> None:
    packing = Packing(2, (16, 16), (32, 32))
    rois = torch.tensor([[0, 1.0, 1, 5, 5], [1, 2, 2, 9, 9]])
    labels = torch.tensor([4, 7])
    placed = packing.place(Samples((rois, rois), labels, torch.tensor([True, False])))
    rows = placed.rows(2)
    assert rows.labels.tolist() == [4, 7, 4, 7, 4, 7]
    assert rows.ids.tolist() == [0, 1, 0, 1, 0, 1]
    assert rows.is_anchor.tolist() == [True, False] * 3
    assert placed.rois[1].tolist() == [
        [0, 1, 1, 5, 5], [0, 18, 2, 25, 9], [0, 1, 17, 5, 21], [0, 18, 18, 25, 25],
    ]  # fmt: skip


def test_grid_points_can_be_packed() -> None:
    model = toy(**PACKED, sampler=dict(type='DenseSampler', grid_size=3))
    assert isinstance(model.neck.cds.sampler, DenseSampler)
    TwoViewForward(model).attach()
    assert all(step(model)[name] > 0.1 for name in BACKBONE)
