"""What the samplers are told."""

import pytest
import torch

from mmcds.models import ViewPair
from mmcds.models.step_data import all_anchors


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
