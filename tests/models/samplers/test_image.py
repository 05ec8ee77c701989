"""Whole images are what they are."""

import torch

from mmcds.models import ImageSampler, ViewPair


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
