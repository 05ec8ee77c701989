"""Upright and rotated boxes, and what the InstanceSampler pools of rotated ones."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmcds.models import InstanceSampler, ViewPair
from mmcds.models.step_data import Samples
from mmcds.models.views.packing import packing_of
from mmcds.utils.boxes import (
    as_rotated,
    contains_centre,
    covered_share,
    have_area,
    iou,
    move_boxes,
    paired_iou,
    scale_boxes,
    towards_middle,
    transform_boxes,
)

ANGLE = 0.6


def corners(box: list[float]) -> list[tuple[float, float]]:
    """The corners of (cx, cy, w, h, angle), the angle clockwise in the image."""
    cx, cy, w, h, angle = box
    return [
        (cx + x * math.cos(angle) - y * math.sin(angle), cy + x * math.sin(angle) + y * math.cos(angle))
        for x, y in ((-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2))
    ]


def mask(box: list[float], size: int = 60, fine: int = 8) -> Tensor:
    """The points of a fine grid over (size, size) that lie in a rotated box."""
    cx, cy, w, h, angle = box
    steps = (torch.arange(size * fine, dtype=torch.float64) + 0.5) / fine
    y, x = torch.meshgrid(steps - cy, steps - cx, indexing='ij')
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    return (along.abs() <= w / 2) & (across.abs() <= h / 2)


def read(feature: Tensor, x: float, y: float) -> Tensor:
    """A map (C, h, w) at a point in cells, bilinearly between the middles of cells."""
    x, y = x - 0.5, y - 0.5
    x1, y1 = math.floor(x), math.floor(y)
    total = torch.zeros(len(feature), dtype=feature.dtype)
    for column, share_x in ((x1, 1 - (x - x1)), (x1 + 1, x - x1)):
        for row, share_y in ((y1, 1 - (y - y1)), (y1 + 1, y - y1)):
            total += feature[:, row, column] * share_x * share_y
    return total


@pytest.mark.parametrize('stride', [(4.0, 4.0), (4.0, 8.0)])
def test_the_pooled_feature_of_a_rotated_box_is_the_mean_of_points_along_its_own_sides(stride: tuple) -> None:
    torch.manual_seed(0)
    feature = torch.randn(2, 3, 24, 20, dtype=torch.float64)
    size = (int(24 * stride[0]), int(20 * stride[1]))
    box = [40.0, 50.0, 30.0, 12.0, ANGLE]
    rois = torch.tensor([[1.0, *box]], dtype=torch.float64)
    pooled = InstanceSampler(roi_size=2).crop(feature, rois, size)
    # In cells of the map, with the sides as long as they are there.
    cos, sin = math.cos(ANGLE), math.sin(ANGLE)
    w = box[2] * math.hypot(cos / stride[1], sin / stride[0])
    h = box[3] * math.hypot(sin / stride[1], cos / stride[0])
    for row in range(2):
        for column in range(2):
            points = []
            for down in range(2):
                for right in range(2):
                    x = (column / 2 + (right + 0.5) / 4 - 0.5) * w
                    y = (row / 2 + (down + 0.5) / 4 - 0.5) * h
                    place = (box[0] / stride[1] + x * cos - y * sin, box[1] / stride[0] + x * sin + y * cos)
                    points.append(read(feature[1], *place))
            expected = torch.stack(points).mean(0)
            assert torch.allclose(pooled[0, :, row, column], expected, atol=1e-9), (row, column)


def test_the_gradient_of_rotated_pooling_is_right() -> None:
    torch.manual_seed(0)
    feature = torch.randn(1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0.0, 11.0, 12.0, 9.0, 5.0, ANGLE]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda each: InstanceSampler().crop(each, rois, (24, 24)), feature)


def test_a_scaled_image_moves_centres_and_sides_and_keeps_angles() -> None:
    box = torch.tensor([[20.0, 30.0, 16.0, 6.0, ANGLE]])
    assert scale_boxes(box, torch.tensor([0.5, 0.5]))[0].tolist() == pytest.approx([10, 15, 8, 3, ANGLE])
    # Nearly equal factors, as of sides that are rounded: the corners stay within half a pixel.
    scaled = scale_boxes(box, torch.tensor([0.5, 0.53]))[0].tolist()
    for (x, y), (x2, y2) in zip(corners(box[0].tolist()), corners(scaled), strict=True):
        assert abs(x * 0.5 - x2) < 0.5
        assert abs(y * 0.53 - y2) < 0.5
    upright = torch.tensor([[2.0, 4.0, 8.0, 10.0]])
    assert scale_boxes(upright, torch.tensor([0.5, 2.0])).tolist() == [[1, 8, 4, 20]]
    assert as_rotated(upright).tolist() == [[5, 7, 6, 6, 0]]


@given(angle=st.floats(-1.5, 1.5), x=st.floats(15, 40), w=st.floats(4, 20))
@settings(max_examples=10, deadline=None)
def test_overlaps_of_rotated_boxes_are_those_of_their_masks(angle: float, x: float, w: float) -> None:
    rows = [[30.0, 30.0, 20.0, 8.0, ANGLE], [x, 28.0, w, 10.0, angle]]
    first, second = (torch.tensor([row]) for row in rows)
    masks = [mask(row) for row in rows]
    common, union = float((masks[0] & masks[1]).sum()), float((masks[0] | masks[1]).sum())
    assert float(iou(first, second)) == pytest.approx(common / union, abs=0.02)
    assert float(paired_iou(first, second)) == pytest.approx(common / union, abs=0.02)
    assert float(covered_share(first, second)) == pytest.approx(common / float(masks[0].sum()), abs=0.02)
    upright = torch.tensor([[20.0, 20.0, 35.0, 32.0]])
    box = mask(as_rotated(upright)[0].tolist())
    share = float((box & masks[1]).sum()) / float(box.sum())
    assert float(covered_share(upright, second)) == pytest.approx(share, abs=0.02)


def test_boxes_move_along_their_own_sides() -> None:
    box = torch.tensor([[20.0, 30.0, 16.0, 6.0, math.pi / 2]])
    # A quarter turn clockwise: the side w points down, the side h to the left.
    moved = move_boxes(box, torch.tensor([[0.5, 1.0]]), torch.tensor([[2.0, 0.5]]))
    assert moved[0].tolist() == pytest.approx([14, 38, 32, 3, math.pi / 2], abs=1e-4)
    upright = torch.tensor([[10.0, 20.0, 30.0, 60.0]])
    assert move_boxes(upright, torch.tensor([[0.5, -0.25]])).tolist() == [[20, 10, 40, 50]]
    sizes = torch.tensor([[100.0, 100.0]])
    assert towards_middle(box, sizes).tolist() == [[1, -1]]
    assert towards_middle(upright, sizes).tolist() == [[1, 1]]


def test_boxes_without_an_area_are_known() -> None:
    rotated = torch.tensor([[1.0, 1, 2, 2, 0], [1, 1, 0, 2, 0], [1, 1, 2, 2, math.nan]])
    assert have_area(rotated).tolist() == [True, False, False]
    assert have_area(torch.tensor([[1.0, 1, 2, 2], [1, 1, 1, 2], [1, 1, math.inf, 2]])).tolist() == [True, False, False]


def rotated_views(boxes: list[list[float]], size: int = 200) -> ViewPair:
    rows = torch.tensor(boxes).view(-1, 5)
    sizes = torch.tensor([[float(size), float(size)]])
    half = scale_boxes(rows, torch.tensor([0.5, 0.5]))
    return ViewPair(
        input_sizes=((size, size), (size // 2, size // 2)),
        image_sizes=(sizes, sizes / 2),
        image_labels=torch.tensor([-1]),
        boxes=([rows], [half]),
        labels=[torch.arange(len(rows))],
        transforms=torch.diag(torch.tensor([0.5, 0.5, 1.0]))[None],
    )


def test_background_keeps_off_rotated_boxes_and_may_lie_in_the_corners_of_the_upright_ones_around_them() -> None:
    torch.manual_seed(0)
    # A thin diagonal over the image: the upright box around it is all of it.
    diagonal = [100.0, 100.0, 260.0, 20.0, math.pi / 4]
    samples = InstanceSampler(background=64).sample(rotated_views([diagonal]))
    assert samples.rois[0].shape == (65, 6)
    free = samples.rois[0][~samples.is_anchor, 1:]
    assert (free[:, 4] == 0).all()
    thick = mask(diagonal, 200, 2)
    for row in free.tolist():
        box = mask(row, 200, 2)
        assert float((box & thick).sum()) / float(box.sum()) < 0.13
    # The same boxes in view 2, at half the size.
    assert torch.allclose(samples.rois[1][:, 1:5] * 2, samples.rois[0][:, 1:5], atol=1e-3)


def test_jittered_and_near_boxes_of_rotated_ones() -> None:
    torch.manual_seed(0)
    views = rotated_views([[60.0, 70.0, 40.0, 16.0, ANGLE], [150.0, 140.0, 30.0, 12.0, -ANGLE]])
    sampler = InstanceSampler(jitter=0.2, jitter_weighted=True, near=4)
    samples = sampler.sample(views)
    for view in range(2):
        rows = samples.rois[view][:, 1:]
        objects = views.boxes[view][0]
        near = rows[~samples.is_anchor]
        assert len(near) > 2
        overlaps = iou(near, objects)
        assert (overlaps.amax(1) >= 0.1 - 1e-3).all()
        assert (overlaps.amax(1) <= 0.4 + 1e-3).all()
        anchors = rows[samples.is_anchor]
        assert torch.allclose(anchors[:, 4].abs(), torch.tensor(ANGLE))
    assert samples.objects is not None
    assert len(samples.objects[samples.is_anchor].unique()) == 2


def test_packing_moves_the_centre_of_a_rotated_box_only() -> None:
    packing = packing_of((64, 64), (32, 32), 0.5, 4)
    boxes = torch.tensor([[float(i), 10.0, 12.0, 8.0, 4.0, ANGLE] for i in range(4)])
    placed = packing.place(Samples((boxes, boxes), torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.bool)))
    assert placed.rois[1][:, 1:3].tolist() == [[10, 12], [42, 12], [10, 44], [42, 44]]
    assert torch.equal(placed.rois[1][:, 3:], boxes[:, 3:])


def test_moved_boxes_are_the_upright_ones_around_the_moved_corners() -> None:
    angle = math.radians(30)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle), 5.0], [math.sin(angle), math.cos(angle), -2.0], [0, 0, 1]])
    x1, y1, x2, y2 = 3.0, 4.0, 11.0, 9.0
    moved = [
        (x * math.cos(angle) - y * math.sin(angle) + 5, x * math.sin(angle) + y * math.cos(angle) - 2)
        for x in (x1, x2)
        for y in (y1, y2)
    ]
    xs, ys = zip(*moved, strict=True)
    found = transform_boxes(torch.tensor([[x1, y1, x2, y2]]), turn)[0]
    assert found.tolist() == pytest.approx([min(xs), min(ys), max(xs), max(ys)], abs=1e-4)
    # A perspective: the third coordinate divides.
    assert transform_boxes(torch.tensor([[2.0, 4.0, 6.0, 8.0]]), torch.diag(torch.tensor([1.0, 1.0, 2.0])))[
        0
    ].tolist() == [1, 2, 3, 4]
    inside = contains_centre(torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 21], [-9, 0, 8, 8]]), torch.tensor([10.0, 20.0]))
    assert inside.tolist() == [True, False, False]
