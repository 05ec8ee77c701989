"""Samples of annotated pixels."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcds.models import PixelSampler, ViewPair
from mmcds.models.samplers.dense import read_points

IGNORED = 255


def views_of(pixels: torch.Tensor, factor: float = 0.5) -> ViewPair:
    count, height, width = pixels.shape
    sizes = torch.tensor([[float(height), float(width)]] * count)
    nothing = [torch.zeros(0, 4)] * count
    return ViewPair(
        input_sizes=((height, width), (int(height * factor), int(width * factor))),
        image_sizes=(sizes, sizes * factor),
        image_labels=torch.full((count,), -1),
        boxes=(nothing, nothing),
        labels=[torch.zeros(0, dtype=torch.long)] * count,
        transforms=torch.diag(torch.tensor([factor, factor, 1.0])).expand(count, 3, 3),
        pixels=pixels,
    )


@given(stride=st.integers(1, 12), per_class=st.integers(1, 9), seed=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_labels_are_those_of_the_map_at_the_same_places(stride: int, per_class: int, seed: int) -> None:
    torch.manual_seed(seed)
    # Blobs of four classes and of what is ignored.
    coarse = torch.tensor([0, 1, 2, 3, IGNORED])[torch.randint(5, (3, 5, 6))]
    pixels = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    samples = PixelSampler(per_class, stride).sample(views_of(pixels))
    found: dict[tuple[int, int], int] = {}
    for (image, x, y), label in zip(samples.rois[0].tolist(), samples.labels.tolist(), strict=True):
        assert (x % 1, y % 1) == (0.5, 0.5)
        assert label == int(pixels[int(image), int(y), int(x)]) != IGNORED
        found[int(image), label] = found.get((int(image), label), 0) + 1
    # Of each class of each image, as many as it has on the grid, but not more than asked for.
    offset = min(stride // 2, 39)
    grid = pixels[:, offset::stride, offset::stride]
    for image in range(3):
        for label in range(4):
            there = int((grid[image] == label).sum())
            assert found.get((image, label), 0) == min(there, per_class)
    assert torch.equal(samples.rois[1][:, 1:], samples.rois[0][:, 1:] / 2)
    assert len(samples.rois[0].unique(dim=0)) == len(samples)


def test_pixels_are_drawn_at_random() -> None:
    views = views_of(torch.zeros(1, 64, 64, dtype=torch.long))
    torch.manual_seed(0)
    draws = [{tuple(row) for row in PixelSampler(8, 4).sample(views).rois[0].tolist()} for _ in range(2)]
    assert draws[0] != draws[1]


def test_pixels_that_view_2_does_not_show_are_left_out() -> None:
    views = views_of(torch.zeros(1, 32, 32, dtype=torch.long))
    assert views.transforms is not None
    views.transforms = views.transforms.clone()
    views.transforms[0, 0, 2] = -8.0
    samples = PixelSampler(1000, 4).sample(views)
    assert samples.rois[0][:, 1].min() >= 16
    assert samples.rois[1][:, 1].min() >= 0


def test_nothing_annotated_gives_no_sample_and_no_map_is_an_error() -> None:
    samples = PixelSampler().sample(views_of(torch.full((2, 16, 16), IGNORED)))
    assert len(samples) == 0
    feature = torch.randn(2, 3, 4, 4, requires_grad=True)
    crops = PixelSampler().crop(feature, samples.rois[0], (16, 16))
    assert crops.shape == (0, 3, 1, 1)
    crops.sum().backward()
    assert feature.grad is not None
    views = views_of(torch.zeros(1, 16, 16, dtype=torch.long))
    views.pixels = None
    with pytest.raises(ValueError, match='PixelSampler needs the class of each pixel'):
        PixelSampler().sample(views)


def test_points_are_read_bilinearly() -> None:
    # A map that is linear in the place is read exactly.
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing='ij')
    feature = torch.stack([3 * columns - rows, rows])[None].double()
    rois = torch.tensor([[0.0, 13.0, 21.0], [0, 4.0, 4.0], [0, 0.5, 0.5], [0, 63.5, 47.5]], dtype=torch.float64)
    read = read_points(feature, rois, (48, 64))[:, :, 0, 0]
    x, y = (rois[:, 1] / 8 - 0.5).clamp(0, 7), (rois[:, 2] / 8 - 0.5).clamp(0, 5)
    assert torch.allclose(read, torch.stack([3 * x - y, y], 1))
    feature.requires_grad_()
    assert torch.autograd.gradcheck(lambda each: read_points(each, rois, (48, 64)), feature)


@pytest.mark.parametrize(
    ('field', 'value'),
    [('per_class', 0), ('stride', 0), ('per_class', 1.5), ('ignore_index', None), ('ignore_index', '255')],
)
def test_mistakes_are_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf'^sampler\.{field}={value!r} is '):
        PixelSampler(**{field: value})
