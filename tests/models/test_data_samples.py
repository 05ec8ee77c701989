"""What is read off mmdet's and mmpretrain's own data samples."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import BaseDataElement, InstanceData

from mmcds.models.data_samples.sample_list import image_labels, image_sizes, instances, occupied

CPU = torch.device('cpu')


def sample(**fields: object) -> DetDataSample:
    return DetDataSample(gt_instances=InstanceData(**fields))


def test_sizes_are_those_without_padding_and_never_above_the_input() -> None:
    samples = [
        DetDataSample(metainfo=dict(img_shape=(20, 30))),
        DetDataSample(metainfo=dict(img_shape=(99, 30, 3))),
        DetDataSample(),
    ]
    found = image_sizes(samples, torch.zeros(3, 3, 32, 64))
    assert found.dtype == torch.float32
    assert found.tolist() == [[20, 30], [32, 30], [32, 64]]


def test_instances_of_plain_and_of_mmdet_s_own_boxes() -> None:
    rows = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]
    plain = sample(bboxes=torch.tensor(rows, dtype=torch.float64), labels=torch.tensor([3, 1], dtype=torch.int32))
    own = sample(bboxes=HorizontalBoxes(rows), labels=torch.tensor([3, 1]))
    unannotated = [DetDataSample(), sample(bboxes=torch.zeros(2, 4)), sample(labels=torch.tensor([1, 2]))]
    boxes, labels = instances([plain, own, *unannotated], CPU)
    assert [b.tolist() for b in boxes] == [rows, rows, [], [], []]
    assert [tuple(b.shape) for b in boxes[2:]] == [(0, 4)] * 3
    assert {b.dtype for b in boxes} == {torch.float32}
    assert [each.tolist() for each in labels] == [[3, 1], [3, 1], [], [], []]
    assert {each.dtype for each in labels} == {torch.int64}


def test_image_labels_of_classification() -> None:
    structures = pytest.importorskip('mmpretrain.structures')
    samples = [structures.DataSample().set_gt_label(each) for each in (4, [1, 2], 0)]
    assert image_labels([*samples, structures.DataSample(), DetDataSample()], CPU).tolist() == [4, -1, 0, -1, -1]


def test_occupied_is_all_that_is_annotated() -> None:
    sample = BaseDataElement(
        gt_instances=InstanceData(bboxes=torch.tensor([[0.0, 0, 1, 1]])),
        ignored_instances=InstanceData(bboxes=torch.tensor([[2.0, 2, 3, 3]])),
    )
    first, second = occupied([sample, BaseDataElement()], torch.device('cpu'))
    assert first.tolist() == [[0, 0, 1, 1], [2, 2, 3, 3]]
    assert second.shape == (0, 4)


def test_a_mixed_image_has_no_class() -> None:
    """MixUp and CutMix say so in the soft label; the hard one is that of one of the two images."""
    samples = []
    for label, score in ((0, [1.0, 0.0]), (1, [0.3, 0.7]), (1, [0.0, 1.0])):
        element = BaseDataElement()
        element.gt_label, element.gt_score = torch.tensor([label]), torch.tensor(score)
        samples.append(element)
    assert image_labels(samples, CPU).tolist() == [0, -1, 1]
    del samples[0].gt_score
    assert image_labels(samples, CPU).tolist() == [0, 1, 1]
