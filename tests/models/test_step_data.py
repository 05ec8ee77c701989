"""Where images lie in their inputs, and maps between views."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcds.models import DenseSampler, InstanceSampler, ViewPair
from mmcds.models.step_data import all_anchors, image_areas


def pair(transforms: torch.Tensor | None) -> ViewPair:
    sizes = torch.tensor([[4.0, 4.0]] * 3)
    nothing = [torch.zeros(0, 4)] * 3
    labels = [torch.zeros(0, dtype=torch.long)] * 3
    return ViewPair(((4, 4), (4, 4)), (sizes, sizes), torch.tensor([-1, 2, 0]), (nothing, nothing), labels, transforms)


def test_length_is_the_number_of_images() -> None:
    assert len(pair(None)) == 3


def test_transforms_are_given_or_the_remedy_is_named() -> None:
    transforms = torch.eye(3).expand(3, 3, 3)
    assert pair(transforms).between() is transforms
    with pytest.raises(ValueError, match=r"neck\.sampler needs .*homography_matrix.*RandomFlip.*'ImageSampler'"):
        pair(None).between()


def test_all_anchors() -> None:
    rois = (torch.zeros(2, 5), torch.ones(2, 5))
    samples = all_anchors(rois, torch.tensor([3, -1]))
    assert len(samples) == 2
    assert samples.is_anchor.tolist() == [True, True]
    assert samples.labels.tolist() == [3, -1]
    assert samples.rois is rois


MEAN, STD = torch.tensor([123.675, 116.28, 103.53])[:, None, None], torch.tensor([58.395, 57.12, 57.375])[:, None, None]


def by_hand(image: np.ndarray, h: int, w: int) -> list[int]:
    """Cut off one row or column after the other while it equals the corner."""
    image = image.astype(np.float64)[:, :h, :w]
    x1, y1, x2, y2 = 0, 0, w, h
    while y2 and (image[:, y2 - 1] == image[:, -1:, -1]).all():
        y2 -= 1
    while x2 and (image[:, :, x2 - 1] == image[:, -1, -1:]).all():
        x2 -= 1
    while y1 < h and (image[:, y1] == image[:, :1, 0]).all():
        y1 += 1
    while x1 < w and (image[:, :, x1] == image[:, 0, :1]).all():
        x1 += 1
    return [x1, y1, x2, y2] if x1 < x2 and y1 < y2 else [0, 0, w, h]


@given(
    seed=st.integers(0, 10_000),
    pads=st.lists(st.tuples(*[st.integers(0, 9)] * 4), min_size=1, max_size=3),
    colours=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_borders_are_those_found_pixel_by_pixel(seed: int, pads: list[tuple[int, ...]], colours: int) -> None:
    """Images of different sizes and paddings, some of few colours, normalised, in one padded batch."""
    generator = torch.Generator().manual_seed(seed)
    batch, sizes = torch.zeros(len(pads), 3, 40, 48), []
    for i, (left, top, right, bottom) in enumerate(pads):
        h, w = (int(torch.randint(1, 20, (1,), generator=generator)) for _ in range(2))
        image = torch.randint(0, colours, (3, h, w), generator=generator) * 60.0
        image = torch.nn.functional.pad(image, (left, right, top, bottom), value=114.0)
        sizes.append(image.shape[1:])
        batch[i, :, : image.shape[1], : image.shape[2]] = (image - MEAN) / STD
    found = image_areas(batch, torch.tensor(sizes, dtype=torch.float32))
    assert found.dtype == torch.float32
    assert found.tolist() == [by_hand(each.numpy(), *size) for each, size in zip(batch, sizes, strict=True)]


def test_padding_is_found_on_whichever_side_a_flip_puts_it() -> None:
    image = torch.full((3, 40, 60), 114.0)
    image[:, :30, :40] = torch.rand(3, 30, 40) * 255
    flipped = torch.stack([image, image.flip(2), image.flip(1), image.flip(1, 2)])
    expected = [[0, 0, 40, 30], [20, 0, 60, 30], [0, 10, 40, 40], [20, 10, 60, 40]]
    sizes = torch.tensor([[40.0, 60.0]] * 4)
    assert image_areas((flipped - MEAN) / STD, sizes).tolist() == expected
    with torch.autocast('cpu', torch.bfloat16):
        assert image_areas((flipped - MEAN) / STD, sizes).tolist() == expected


def test_an_image_of_one_or_two_colours_keeps_its_size() -> None:
    images = torch.zeros(2, 3, 32, 32)
    images[1, :, :, 16:] = 1
    assert image_areas(images, torch.tensor([[20.0, 30.0]] * 2)).tolist() == [[0, 0, 30, 20]] * 2
    assert image_areas(None, torch.tensor([[20.0, 30.0]])).tolist() == [[0, 0, 30, 20]]


def padded_pair(border: float) -> ViewPair:
    """View 2 is cropped to its left half before the Pad, view 1 is padded and then flipped."""
    first, second = torch.full((1, 3, 64, 96), border), torch.full((1, 3, 64, 96), border)
    image = torch.rand(3, 32, 40) * 255
    first[0, :, :32, 56:] = image.flip(2)
    second[0, :, :32, :20] = image[:, :, :20]
    sizes, nothing = torch.tensor([[64.0, 96.0]]), [torch.zeros(0, 4)]
    flip = torch.tensor([[[-1.0, 0, 96], [0, 1, 0], [0, 0, 1]]])
    return ViewPair(
        ((64, 96), (64, 96)),
        (sizes, sizes),
        torch.tensor([-1]),
        (nothing, nothing),
        [torch.zeros(0, dtype=torch.long)],
        flip,
        images=(first, second),
    )


@pytest.mark.parametrize('border', [0.0, 114.0])
def test_dense_points_are_not_in_the_padding_of_either_view(border: float) -> None:
    views = padded_pair(border)
    one, two = DenseSampler(grid_size=8).sample(views).rois
    # Half of the 64 points: the crop of view 2 shows no more.
    assert len(one) == len(two) == 32
    for rois, view in zip((one, two), views.images, strict=True):
        assert view is not None
        x, y = rois[:, 1:].long().unbind(1)
        assert (view[0, :, y, x] != border).any(0).all()


@pytest.mark.parametrize('seed', range(3))
def test_background_boxes_are_not_in_the_padding_of_either_view(seed: int) -> None:
    torch.manual_seed(seed)
    samples = InstanceSampler(background=16, background_iou=0.0).sample(padded_pair(114.0))
    first, second = (rois[:, 1:] for rois in samples.rois)
    assert len(first) > 2
    # View 1's image is (56, 0, 96, 32), view 2's (0, 0, 20, 32), where the centres have to be.
    assert (first >= torch.tensor([56, 0, 56, 0])).all()
    assert (first <= torch.tensor([96, 32, 96, 32])).all()
    centre = (second[:, :2] + second[:, 2:]) / 2
    assert ((centre >= 0) & (centre < torch.tensor([20, 32]))).all()
