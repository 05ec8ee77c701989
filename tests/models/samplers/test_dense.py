"""Grid points against the image content that both views show there."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmcds.models import DenseSampler, ViewPair

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


def views_of(transforms: list[Tensor], second: tuple[int, int], first: list[tuple[int, int]] | None = None) -> ViewPair:
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
    samples = sampler.sample(views_of(transforms, SIZE))
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
    samples = DenseSampler(grid_size=4).sample(views_of([torch.tensor([[1.0, 0, -20], [0, 1, 0], [0, 0, 1]])], SIZE))
    assert sorted(set(samples.rois[0][:, 1].tolist())) == [36, 60, 84]
    assert sorted(set(samples.rois[1][:, 1].tolist())) == [16, 40, 64]
    assert torch.equal(samples.rois[0][:, 2], samples.rois[1][:, 2])
    assert len(samples) == 12
    assert samples.is_anchor.all()
    assert (samples.labels == -1).all()


def test_padding_is_not_sampled() -> None:
    samples = DenseSampler(grid_size=5).sample(views_of([torch.eye(3)] * 2, SIZE, [(20, 30), (64, 96)]))
    first = samples.rois[0][samples.rois[0][:, 0] == 0]
    assert len(first) == 25
    assert (first[:, 1] < 30).all()
    assert (first[:, 2] < 20).all()


def test_no_common_place_gives_an_empty_crop_that_is_connected() -> None:
    samples = DenseSampler().sample(views_of([torch.tensor([[1.0, 0, 500], [0, 1, 0], [0, 0, 1]])], SIZE))
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
    samples = sampler.sample(views_of([torch.eye(3)], SIZE))
    feature = torch.randn(1, 4, 64, 96, generator=torch.Generator().manual_seed(0)).bfloat16()
    found = sampler.crop(feature, samples.rois[0], SIZE)
    expected = sampler.crop(feature.float(), samples.rois[0], SIZE)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.parametrize('value', [0, -3, 2.5])
def test_wrong_arguments_are_named(value: Any) -> None:
    with pytest.raises(
        ValueError, match=rf'sampler\.grid_size={value} is out of range; give a whole number, 1 or more'
    ):
        DenseSampler(grid_size=value)
