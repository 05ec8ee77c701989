"""What is read off the data samples of mmdet, mmrotate, mmpretrain and mmsegmentation."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmcds.models.data_samples.sample_list import image_labels, image_sizes, instances, occupied, pixels, without_labels

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


@pytest.mark.parametrize('kind', ['torchvision/', ''])
@pytest.mark.parametrize('file_size', [(32, 32), (200, 190), (300, 300)])
def test_a_classifier_s_images_have_the_size_of_their_pixels(kind: str, file_size: tuple[int, int]) -> None:
    """torchvision's transforms do not write it into the data sample."""
    import mmpretrain.datasets  # noqa: F401, registers the transforms
    from mmcv.transforms import Compose
    from mmpretrain.models import ClsDataPreprocessor

    resize = [
        dict(type='torchvision/ToPILImage'),
        dict(type='torchvision/Resize', size=(224, 192)),
        dict(type='torchvision/PILToTensor'),
    ]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        steps = resize if kind else [dict(type='Resize', scale=(192, 224))]
        pipeline = Compose([*steps, dict(type='PackInputs')])
        image = np.random.default_rng(0).integers(256, size=(*file_size, 3), dtype=np.uint8)
        packed = [
            pipeline(dict(img=image.copy(), img_shape=image.shape[:2], ori_shape=image.shape[:2], gt_label=0))
            for _ in range(2)
        ]
    batch = {key: [each[key] for each in packed] for key in packed[0]}
    made = ClsDataPreprocessor(pad_size_divisor=64)(batch, training=True)
    assert made['inputs'].shape[2:] == (256, 192)
    recorded = [tuple(sample.img_shape) for sample in made['data_samples']]
    assert recorded == [file_size if kind else (224, 192)] * 2
    expected = [256, 192] if kind else [224, 192]
    assert image_sizes(made['data_samples'], made['inputs']).tolist() == [expected] * 2


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


def test_rotated_boxes_are_kept_and_images_without_boxes_have_as_many_columns() -> None:
    rows = torch.tensor([[10.0, 20, 8, 4, 0.5]])
    rotated = sample(bboxes=rows, labels=torch.tensor([2]))
    boxes, labels = instances([DetDataSample(), rotated], CPU)
    assert [tuple(each.shape) for each in boxes] == [(0, 5), (1, 5)]
    assert labels[1].tolist() == [2]
    rotated.ignored_instances = InstanceData(bboxes=torch.zeros(0, 5))
    assert [tuple(each.shape) for each in occupied([DetDataSample(), rotated], CPU)] == [(0, 5), (1, 5)]


def test_quadrilaterals_become_rotated_boxes() -> None:
    boxes = pytest.importorskip('mmrotate.structures.bbox')
    # A rectangle of 20 by 10 px, turned clockwise by 30 degrees about (50, 40).
    cos, sin = 3**0.5 / 2, 0.5
    around = [(-10, -5), (10, -5), (10, 5), (-10, 5)]
    row = [value for x, y in around for value in (50 + x * cos - y * sin, 40 + x * sin + y * cos)]
    for given in (boxes.QuadriBoxes(torch.tensor([row])), torch.tensor([row])):
        (found,), _ = instances([sample(bboxes=given, labels=torch.tensor([0]))], CPU)
        x, y, w, h, angle = found[0].tolist()
        assert (x, y) == pytest.approx((50, 40), abs=0.01)
        long, short = max(w, h), min(w, h)
        assert (long, short) == pytest.approx((20, 10), abs=0.01)
        turned = angle if w > h else angle + torch.pi / 2
        assert abs(torch.tensor(turned - torch.pi / 6).sin()) < 1e-3


@pytest.mark.parametrize('field', ['sem_seg', 'data'])
def test_classes_of_pixels(field: str) -> None:
    maps = [torch.randint(0, 5, (1, 6, 8)) for _ in range(2)]
    samples = [BaseDataElement(gt_sem_seg=PixelData(**{field: map_})) for map_ in maps]
    found = pixels(samples, torch.zeros(2, 3, 6, 8))
    assert found is not None
    assert torch.equal(found, torch.cat(maps))
    # Of another size than the input, or not of all images: not known.
    assert pixels(samples, torch.zeros(2, 3, 8, 8)) is None
    assert pixels([samples[0], BaseDataElement()], torch.zeros(2, 3, 6, 8)) is None
    without_labels(samples[0])
    assert samples[0].gt_sem_seg.get(field).unique().tolist() == [255]
