"""No second view: the pair is the first view twice."""

import torch
from torch import nn
from toys import toy_inputs

from mmcds.models import SingleView


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
