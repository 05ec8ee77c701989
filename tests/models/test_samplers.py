"""Samplers: images, grid points and annotated instances."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmcds.models import DenseSampler, ImageSampler, InstanceSampler, ViewPair
from mmcds.utils.boxes import have_area


def test_every_image_is_one_sample_with_its_class() -> None:
    sizes = torch.tensor([[4.0, 4.0]] * 3)
    boxes = [torch.zeros(2, 4)] * 3
    labels = [torch.zeros(2, dtype=torch.long)] * 3
    views = ViewPair(((4, 4), (4, 4)), (sizes, sizes), torch.tensor([5, -1, 0]), (boxes, boxes), labels, None)
    sampler = ImageSampler()
    samples = sampler.sample(views)
    assert samples.labels.tolist() == [5, -1, 0]
    assert samples.is_anchor.all()
    assert [each.tolist() for each in samples.rois] == [[0, 1, 2]] * 2
    feature = torch.randn(3, 2, 4, 5)
    assert torch.equal(sampler.crop(feature, samples.rois[0], (16, 16)), feature)


SIZE = (64, 96)


def content(x: Tensor, y: Tensor) -> Tensor:
    """The image as a function of the place in view 1, in pixels; linear, so that interpolation is exact."""
    return 5 * x - 3 * y + 7


def feature_of(transform: Tensor, size: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """What an ideal tap of a view shows: the content under the centre of each cell."""
    y = (torch.arange(size[0] // stride[0]) + 0.5) * stride[0]
    x = (torch.arange(size[1] // stride[1]) + 0.5) * stride[1]
    y, x = torch.meshgrid(y, x, indexing='ij')
    back = torch.linalg.inv(transform)
    points = torch.stack([x, y, torch.ones_like(x)]).reshape(3, -1)
    moved = back @ points
    return content(moved[0] / moved[2], moved[1] / moved[2]).reshape(1, 1, *x.shape)


def grid_views(
    transforms: list[Tensor], second: tuple[int, int], first: list[tuple[int, int]] | None = None
) -> ViewPair:
    count = len(transforms)
    nothing = [torch.zeros(0, 4)] * count
    return ViewPair(
        input_sizes=(SIZE, second),
        image_sizes=(
            torch.tensor(first or [SIZE] * count, dtype=torch.float32),
            torch.tensor([second] * count, dtype=torch.float32),
        ),
        image_labels=torch.full((count,), -1),
        boxes=(nothing, nothing),
        labels=[torch.zeros(0, dtype=torch.long)] * count,
        transforms=torch.stack(transforms),
    )


FLIP = torch.tensor([[-1.0, 0, 96], [0, 1, 0], [0, 0, 1]])
SHIFT = torch.tensor([[1.0, 0, -20], [0, 1, 9], [0, 0, 1]])
HALF = torch.tensor([[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]])


@pytest.mark.parametrize('strides', [((4, 4), (4, 4)), ((8, 4), (2, 8))])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_both_views_are_read_where_they_show_the_same(
    strides: tuple[tuple[int, int], tuple[int, int]], dtype: torch.dtype
) -> None:
    transforms = [FLIP, SHIFT @ FLIP, HALF @ SHIFT]
    sampler = DenseSampler(grid_size=9)
    samples = sampler.sample(grid_views(transforms, SIZE))
    features = [
        torch.cat([feature_of(h, SIZE, strides[v]) for h in (transforms if v else [torch.eye(3)] * 3)]).to(dtype)
        for v in (0, 1)
    ]
    first, second = (sampler.crop(features[v], samples.rois[v], SIZE)[:, 0, 0, 0] for v in (0, 1))
    expected = content(samples.rois[0][:, 1], samples.rois[0][:, 2]).to(dtype)
    # Half a cell from the border there is nothing to interpolate with.
    clear = torch.ones(len(samples), dtype=torch.bool)
    for rois, (down, across) in zip(samples.rois, strides, strict=True):
        clear &= (rois[:, 1] >= across / 2) & (rois[:, 1] <= 96 - across / 2)
        clear &= (rois[:, 2] >= down / 2) & (rois[:, 2] <= 64 - down / 2)
    assert int(clear.sum()) > 100
    assert set(samples.rois[0][clear, 0].tolist()) == {0, 1, 2}
    torch.testing.assert_close(first[clear], expected[clear], rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(second[clear], expected[clear], rtol=1e-4, atol=1e-2)


def test_points_outside_the_other_view_are_left_out() -> None:
    """By hand: of four columns at 12, 36, 60, 84 a shift by -20 loses the first."""
    samples = DenseSampler(grid_size=4).sample(grid_views([torch.tensor([[1.0, 0, -20], [0, 1, 0], [0, 0, 1]])], SIZE))
    assert sorted(set(samples.rois[0][:, 1].tolist())) == [36, 60, 84]
    assert sorted(set(samples.rois[1][:, 1].tolist())) == [16, 40, 64]
    assert torch.equal(samples.rois[0][:, 2], samples.rois[1][:, 2])
    assert len(samples) == 12
    assert samples.is_anchor.all()
    assert (samples.labels == -1).all()


def test_padding_is_not_sampled() -> None:
    samples = DenseSampler(grid_size=5).sample(grid_views([torch.eye(3)] * 2, SIZE, [(20, 30), (64, 96)]))
    first = samples.rois[0][samples.rois[0][:, 0] == 0]
    assert len(first) == 25
    assert (first[:, 1] < 30).all()
    assert (first[:, 2] < 20).all()


def test_no_common_place_gives_an_empty_crop_that_is_connected() -> None:
    samples = DenseSampler().sample(grid_views([torch.tensor([[1.0, 0, 500], [0, 1, 0], [0, 0, 1]])], SIZE))
    assert len(samples) == 0
    feature = torch.randn(1, 3, 8, 12, requires_grad=True)
    crop = DenseSampler().crop(feature, samples.rois[0], SIZE)
    assert crop.shape == (0, 3, 1, 1)
    crop.sum().backward()
    assert feature.grad is not None
    assert (feature.grad == 0).all()


def test_places_are_not_rounded_with_the_features() -> None:
    """bfloat16 has eight bits: a place rounded to it is off by a cell on a wide map."""
    sampler = DenseSampler(grid_size=9)
    samples = sampler.sample(grid_views([torch.eye(3)], SIZE))
    feature = torch.randn(1, 4, 64, 96, generator=torch.Generator().manual_seed(0)).bfloat16()
    found = sampler.crop(feature, samples.rois[0], SIZE)
    expected = sampler.crop(feature.float(), samples.rois[0], SIZE)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.parametrize('value', [0, -3, 2.5])
def test_wrong_grids_are_named(value: Any) -> None:
    with pytest.raises(
        ValueError, match=rf'sampler\.grid_size={value} is out of range; give a whole number, 1 or more'
    ):
        DenseSampler(grid_size=value)


def views_of(
    boxes: list[list[float]],
    labels: list[int] | None = None,
    size: tuple[int, int] = (64, 48),
    second: list[list[float]] | None = None,
    transform: Tensor | None = None,
    second_size: tuple[int, int] | None = None,
) -> ViewPair:
    """One image; the second view is the first unless said otherwise."""
    rows = [torch.tensor(each, dtype=torch.float32).reshape(-1, 4) for each in (boxes, second or boxes)]
    sizes = [torch.tensor([each], dtype=torch.float32) for each in (size, second_size or size)]
    return ViewPair(
        input_sizes=(size, second_size or size),
        image_sizes=(sizes[0], sizes[1]),
        image_labels=torch.tensor([-1]),
        boxes=([rows[0]], [rows[1]]),
        labels=[torch.tensor(labels if labels is not None else list(range(len(boxes))), dtype=torch.long)],
        transforms=torch.eye(3)[None] if transform is None else transform[None],
    )


def bilinear(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """(C, h, w) read at a point whose (0, 0) is the centre of the first cell; 0 more than a cell outside."""
    height, width = image.shape[1:]
    if y < -1 or y > height or x < -1 or x > width:
        return np.zeros(len(image))
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    upper = (1 - dx) * image[:, top, left] + dx * image[:, top, right]
    lower = (1 - dx) * image[:, bottom, left] + dx * image[:, bottom, right]
    return (1 - dy) * upper + dy * lower


def roi_align(image: np.ndarray, box: list[float], strides: tuple[float, float], cells: int) -> np.ndarray:
    """aligned=True: half a cell is taken off; sampling_ratio=2: four points per cell, averaged."""
    x1, y1, x2, y2 = (v / strides[1 - i % 2] - 0.5 for i, v in enumerate(box))
    cell_w, cell_h = (x2 - x1) / cells, (y2 - y1) / cells
    output = np.zeros((len(image), cells, cells))
    for i in range(cells):
        for j in range(cells):
            for a in (0.25, 0.75):
                for b in (0.25, 0.75):
                    output[:, i, j] += bilinear(image, y1 + (i + a) * cell_h, x1 + (j + b) * cell_w) / 4
    return output


BOXES = [[3.0, 5.0, 40.0, 33.0], [0.0, 0.0, 48.0, 64.0], [10.2, 20.7, 12.9, 61.3], [-9.0, 50.0, 20.0, 80.0]]


@pytest.mark.parametrize('shape', [(16, 12), (32, 6), (7, 9)], ids=['4x4', '2x8', 'not whole'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('cells', [1, 7])
def test_crop_is_roi_align(shape: tuple[int, int], dtype: torch.dtype, cells: int) -> None:
    feature = torch.randn(2, 3, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    rois = torch.tensor([[i % 2, *box] for i, box in enumerate(BOXES)])
    found = InstanceSampler(roi_size=cells).crop(feature, rois, (64, 48))
    assert found.dtype == dtype
    strides = 64 / shape[0], 48 / shape[1]
    for i, box in enumerate(BOXES):
        expected = roi_align(feature[i % 2].double().numpy(), box, strides, cells)
        np.testing.assert_allclose(found[i].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_crop_of_a_ramp_is_the_ramp_at_the_centres_of_the_cells() -> None:
    """Interpolation is exact on a linear ramp, so every cell is known; the strides are 4 and 2."""
    y = (torch.arange(16.0) + 0.5) * 4
    x = (torch.arange(24.0) + 0.5) * 2
    feature = (3 * y[:, None] - 2 * x[None])[None, None]
    box = [6.0, 10.0, 34.0, 52.0]
    found = InstanceSampler(roi_size=7).crop(feature, torch.tensor([[0.0, *box]]), (64, 48))[0, 0]
    rows, columns = 10 + (torch.arange(7.0) + 0.5) * 6, 6 + (torch.arange(7.0) + 0.5) * 4
    torch.testing.assert_close(found, 3 * rows[:, None] - 2 * columns[None], rtol=1e-5, atol=1e-4)
    assert found.mean().item() == pytest.approx(3 * 31 - 2 * 20, rel=1e-5)


def test_crop_of_low_precision_is_float32_and_of_nothing_is_nothing() -> None:
    feature = torch.randn(1, 3, 8, 8)
    sampler = InstanceSampler(roi_size=3)
    rois = torch.tensor([[0.0, 3, 3, 20, 25]])
    found = sampler.crop(feature.bfloat16(), rois, (32, 32))
    assert found.dtype == torch.float32
    assert torch.equal(found, sampler.crop(feature.bfloat16().float(), rois, (32, 32)))
    assert sampler.crop(feature, rois[:0], (32, 32)).shape == (0, 3, 3, 3)


def test_boxes_without_area_or_not_finite_are_left_out() -> None:
    nan, inf = math.nan, math.inf
    good: list[list[float]] = [[1, 1, 9, 9], [-20, -20, 5, 5], [100, 100, 120, 130]]
    bad: list[list[float]] = [[5, 5, 5, 9], [5, 5, 9, 5], [9, 9, 3, 3], [nan, 0, 3, 3], [0, 0, inf, 3], [-inf, 0, 3, 3]]
    boxes = [good[0], *bad, *good[1:]]
    samples = InstanceSampler().sample(views_of(boxes, labels=list(range(len(boxes)))))
    assert samples.labels.tolist() == [0, 7, 8]
    assert samples.rois[0][:, 1:].tolist() == good
    # Outside the image is nothing to read, but nothing to fail on either.
    crops = InstanceSampler().crop(torch.randn(1, 2, 16, 12), samples.rois[0], (64, 48))
    assert crops.isfinite().all()
    assert (crops[2] == 0).all()


def test_a_box_that_one_view_lost_is_left_out_of_both() -> None:
    views = views_of([[1, 1, 9, 9], [2, 2, 30, 30]], second=[[4, 4, 4, 8], [1, 1, 15, 15]])
    samples = InstanceSampler().sample(views)
    assert samples.labels.tolist() == [1]
    assert samples.rois[0].tolist() == [[0, 2, 2, 30, 30]]
    assert samples.rois[1].tolist() == [[0, 1, 1, 15, 15]]


def test_of_many_boxes_a_random_subset_is_taken_alike_in_both_views() -> None:
    boxes = [[float(i), 0.0, i + 10.0, 10.0] for i in range(20)]
    sampler = InstanceSampler(max_per_image=5)
    taken = set()
    for seed in range(30):
        torch.manual_seed(seed)
        samples = sampler.sample(views_of(boxes, second=[[v / 2 for v in box] for box in boxes]))
        assert len(samples) == len(set(samples.labels.tolist())) == 5
        assert torch.equal(samples.rois[0][:, 1:], samples.rois[1][:, 1:] * 2)
        assert samples.rois[0][:, 1].tolist() == samples.labels.tolist()
        taken.update(samples.labels.tolist())
    assert taken == set(range(20))
    assert len(sampler.sample(views_of(boxes[:5]))) == 5


def test_of_many_images_each_keeps_its_own_share() -> None:
    """Unequal numbers, none at all, and more than are taken; background stands after the objects of its image."""
    counts = [3, 0, 9, 1]
    boxes = [torch.tensor([[10.0 * k, 5.0, 10.0 * k + 4, 9.0] for k in range(count)]).view(-1, 4) for count in counts]
    sizes = torch.tensor([[200.0, 200.0]] * 4)
    labels = [torch.arange(count) + 100 * i for i, count in enumerate(counts)]
    eye = torch.eye(3).expand(4, 3, 3)
    views = ViewPair(((200, 200), (200, 200)), (sizes, sizes), torch.full((4,), -1), (boxes, boxes), labels, eye)
    torch.manual_seed(0)
    samples = InstanceSampler(max_per_image=4, background=2).sample(views)
    image = samples.rois[0][:, 0].tolist()
    assert image == sorted(image)
    for i, count in enumerate(counts):
        mine = samples.rois[0][:, 0] == i
        objects = samples.labels[mine & samples.is_anchor]
        assert len(objects) == min(count, 4)
        assert set(objects.tolist()) <= set(labels[i].tolist())
        assert torch.equal(samples.rois[0][mine & samples.is_anchor, 1], (objects - 100 * i) * 10.0)
        assert samples.is_anchor[mine].tolist() == [True] * len(objects) + [False] * (int(mine.sum()) - len(objects))
    assert (samples.labels[~samples.is_anchor] == -1).all()
    assert 4 <= int((~samples.is_anchor).sum()) <= 8


def covered(a: list[float], b: list[float]) -> float:
    """Which share of a is inside b."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0) / ((a[2] - a[0]) * (a[3] - a[1]))


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(8, 300),
    width=st.integers(8, 300),
    count=st.integers(0, 3),
    threshold=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_background_is_clear_of_objects_and_inside(
    seed: int, height: int, width: int, count: int, threshold: float
) -> None:
    generator = np.random.default_rng(seed)
    corners = generator.random((count, 2)) * [width / 2, height / 2]
    boxes = np.concatenate([corners, corners + 1 + generator.random((count, 2)) * [width / 3, height / 3]], 1).tolist()
    # The second view is half as large and mirrored.
    mirror = torch.tensor([[-0.5, 0.0, width / 2], [0.0, 0.5, 0.0], [0.0, 0.0, 1.0]])
    views = views_of(
        boxes,
        size=(height, width),
        second=[[(width - b[2]) / 2, b[1] / 2, (width - b[0]) / 2, b[3] / 2] for b in boxes],
        transform=mirror,
        second_size=(height // 2 + 1, width // 2 + 1),
    )
    torch.manual_seed(seed)
    samples = InstanceSampler(background=6, background_iou=threshold).sample(views)
    free = ~samples.is_anchor
    assert samples.is_anchor.tolist() == [True] * count + [False] * int(free.sum())
    assert (samples.labels[free] == -1).all()
    assert int(free.sum()) <= 6
    if count == 0:
        assert int(free.sum()) == 6
    for (x1, y1, x2, y2), moved in zip(
        samples.rois[0][free, 1:].tolist(), samples.rois[1][free, 1:].tolist(), strict=True
    ):
        assert 0 <= x1 < x2 <= width + 1e-3
        assert 0 <= y1 < y2 <= height + 1e-3
        assert all(covered([x1, y1, x2, y2], box) <= threshold + 1e-4 for box in boxes)
        assert moved == pytest.approx([(width - x2) / 2, y1 / 2, (width - x1) / 2, y2 / 2], abs=1e-3)


def test_images_keep_their_places() -> None:
    views = views_of([[0, 0, 9, 9]])
    both = ViewPair(
        input_sizes=views.input_sizes,
        image_sizes=(views.image_sizes[0].repeat(3, 1), views.image_sizes[1].repeat(3, 1)),
        image_labels=torch.tensor([-1] * 3),
        boxes=([torch.zeros(0, 4), torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[5.0, 6, 7, 8]] * 2)],) * 2,
        labels=[torch.zeros(0, dtype=torch.long), torch.tensor([3]), torch.tensor([1, 0])],
        transforms=None,
    )
    samples = InstanceSampler().sample(both)
    assert samples.rois[0][:, 0].tolist() == [1, 2, 2]
    assert samples.labels.tolist() == [3, 1, 0]
    nothing = InstanceSampler().sample(views_of([], labels=[]))
    assert len(nothing) == 0
    assert nothing.rois[1].shape == (0, 5)


@pytest.mark.parametrize(
    ('field', 'value', 'valid'),
    [
        ('roi_size', 0, 'whole number, 1 or more'),
        ('max_per_image', 0, 'whole number, 1 or more'),
        ('background', -1, 'whole number, 0 or more'),
        ('background_iou', 1.5, 'number in [0, 1]'),
        ('roi_size', 7.5, 'whole number, 1 or more'),
    ],
)
def test_wrong_arguments_are_named(field: str, value: Any, valid: str) -> None:
    with pytest.raises(ValueError) as caught:
        InstanceSampler(**{field: value})
    assert str(caught.value) == f'sampler.{field}={value!r} is out of range; give a {valid}'


def test_background_looks_at_the_boxes_of_its_own_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at those of all images for each would be quadratic in the batch size."""
    looked: list[int] = []

    def noted(boxes: Tensor) -> Tensor:
        looked.append(len(boxes))
        return have_area(boxes)

    monkeypatch.setattr('mmcds.models.samplers.instance.have_area', noted)
    count = 5
    boxes, sizes = [torch.tensor([[2.0, 2.0, 9.0, 9.0]])] * count, torch.tensor([SIZE] * count, dtype=torch.float32)
    views = ViewPair(
        input_sizes=(SIZE, SIZE),
        image_sizes=(sizes, sizes),
        image_labels=torch.full((count,), -1),
        boxes=(boxes, boxes),
        labels=[torch.zeros(1, dtype=torch.long)] * count,
        transforms=torch.eye(3).repeat(count, 1, 1),
    )
    InstanceSampler().sample(views)
    of_objects = len(looked)
    InstanceSampler(background=4).sample(views)
    assert len(looked) - 2 * of_objects == count


def test_background_keeps_clear_of_everything_annotated() -> None:
    """A crowd, or an object that view 2 does not show, covers the left half: nothing is drawn there."""
    size = torch.tensor([[64.0, 64.0]])
    nothing = [torch.zeros(0, 4)]
    views = ViewPair(
        input_sizes=((64, 64), (64, 64)),
        image_sizes=(size, size),
        image_labels=torch.tensor([-1]),
        boxes=(nothing, nothing),
        labels=[torch.zeros(0, dtype=torch.long)],
        transforms=torch.eye(3)[None],
        occupied=[torch.tensor([[0.0, 0.0, 32.0, 64.0]])],
    )
    sampler = InstanceSampler(background=50, background_iou=0.0)
    torch.manual_seed(0)
    rois = sampler.sample(views).rois[0]
    assert len(rois) > 10
    assert (rois[:, 1] >= 32).all()
    # On a plain ground, which looks like padding, background is drawn from the whole image.
    image = torch.ones(1, 3, 64, 64)
    image[:, :, 10:30, 40:60] = torch.rand(3, 20, 20)
    plain = replace(views, occupied=[torch.tensor([[40.0, 10.0, 60.0, 30.0]])], images=(image, None))
    assert plain.areas[0].tolist() == [[40, 10, 60, 30]]
    torch.manual_seed(0)
    assert len(InstanceSampler(background=8).sample(plain)) == 8
    # Background that nobody asked for needs no map between the views.
    sampler = InstanceSampler()
    sampler.background, sampler.is_automatic = 8, True
    assert len(sampler.sample(replace(views, transforms=None))) == 0
    # A small box inside of a large crowd has a small intersection over union with it, and is no background.
    share = InstanceSampler(background=50)
    torch.manual_seed(0)
    rois = share.sample(views).rois[0]
    assert len(rois) > 10
    for box in rois[:, 1:].tolist():
        assert covered(box, [0.0, 0.0, 32.0, 64.0]) <= 0.1 + 1e-5


@pytest.mark.parametrize('angle', [None, 0.3])
@pytest.mark.parametrize('layout', ['channels_last', 'tokens'])
def test_crop_of_a_map_that_is_not_contiguous(layout: str, angle: float | None) -> None:
    """As a transformer returns its map, and as channels_last lays it out; the gradient, too."""
    plain = torch.randn(2, 5, 8, 6, generator=torch.Generator().manual_seed(0))
    if layout == 'channels_last':
        feature = plain.clone(memory_format=torch.channels_last)
    else:
        feature = plain.flatten(2).transpose(1, 2).contiguous().transpose(1, 2).unflatten(2, (8, 6))
    assert not feature.is_contiguous()
    box = [20.0, 30.0, 34.0, 41.0] if angle is None else [24.0, 30.0, 20.0, 30.0, angle]
    rois = torch.tensor([[1.0, *box], [0.0, *box]])
    found = []
    for each in (plain.requires_grad_(), feature.requires_grad_()):
        crops = InstanceSampler(roi_size=3).crop(each, rois, (64, 48))
        (gradient,) = torch.autograd.grad((crops * torch.arange(9.0).view(3, 3)).sum(), each)
        found.append((crops, gradient))
    for ours, expected in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, expected)


def test_a_box_that_is_not_finite_covers_no_background() -> None:
    sampler = InstanceSampler(background=8, near=2)
    for boxes in ([[2.0, 2, 9, 9]], [[2.0, 2, 9, 9], [math.nan, 0, 5, 5]], [[2.0, 2, 9, 9], [0, 0, math.inf, 5]]):
        torch.manual_seed(0)
        samples = sampler.sample(views_of(boxes))
        assert int((~samples.is_anchor).sum()) == 10, boxes
