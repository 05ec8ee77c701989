"""Labels out of range are named with their image."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmpretrain.structures import DataSample
from toys import toy_inputs

from mmcds.engine.hooks import LabelCheckHook
from mmcds.models.data_samples.sample_list import without_labels


def runner(classes: Any = 3) -> Any:
    return SimpleNamespace(model=SimpleNamespace(head=SimpleNamespace(num_classes=classes)))


def check(*labels: Any, classes: Any = 3, **metainfo: Any) -> None:
    samples = [DataSample(metainfo=metainfo).set_gt_label(label) for label in labels]
    LabelCheckHook().before_train_iter(runner(classes), 0, {'data_samples': samples})


def test_labels_in_range_pass() -> None:
    check(0, 2, [0, 2])
    unlabelled = DataSample().set_gt_label(7)
    without_labels(unlabelled)
    LabelCheckHook().before_train_iter(runner(), 0, {'data_samples': [unlabelled, DataSample()]})


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        (
            [0, 3],
            r'^label 3 of a/b\.png is out of range for model\.head\.num_classes=3; set num_classes to 4 or more, or',
        ),
        ([[1, 9]], r'^label 9 of a/b\.png .*set num_classes to 10 or more'),
        ([-1], r'^label -1 of a/b\.png is out of range for model\.head\.num_classes=3; mend the annotation$'),
    ],
)
def test_labels_out_of_range_are_named_with_their_image(labels: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(*labels, img_path='a/b.png')


def test_an_image_without_a_file_is_named_by_its_number() -> None:
    with pytest.raises(ValueError, match=r'^label 5 of image 12 is'):
        check(5, sample_idx=12)


@pytest.mark.parametrize('batch', [None, {}, {'data_samples': None}, [1]])
def test_other_batches_are_left_alone(batch: Any) -> None:
    LabelCheckHook().before_train_iter(runner(), 0, batch)


def test_other_models_are_left_alone() -> None:
    check(5, classes=None)
    _, samples = toy_inputs([2])
    detector: Any = SimpleNamespace(model=SimpleNamespace(bbox_head=None))
    LabelCheckHook().before_train_iter(detector, 0, {'inputs': torch.zeros(1), 'data_samples': samples})
