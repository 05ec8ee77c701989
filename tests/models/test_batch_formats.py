"""Batch formats: mmyolo's, those of a project, and what is refused."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from mmengine.structures import BaseDataElement

import mmcds
from mmcds.models.data_samples import check_batch, formats, read_targets
from mmcds.models.step_data import Targets

INPUTS = torch.zeros(3, 3, 32, 48)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    formats._REGISTERED.clear()


def test_rows_of_mmyolo_are_boxes_of_their_images() -> None:
    # Not in the order of the images, and none in image 1.
    rows = torch.tensor([[2, 4, 1, 2, 9, 8], [0, 1, 5, 6, 7, 9], [2, 0, 3, 3, 6, 6]], dtype=torch.float32)
    targets = read_targets(INPUTS, {'bboxes_labels': rows, 'img_metas': [{}] * 3})
    assert [boxes.tolist() for boxes in targets.boxes] == [[[5, 6, 7, 9]], [], [[1, 2, 9, 8], [3, 3, 6, 6]]]
    assert [labels.tolist() for labels in targets.labels] == [[1], [], [4, 0]]
    assert targets.boxes[1].shape == (0, 4)
    assert targets.image_sizes.tolist() == [[32, 48]] * 3
    assert targets.image_labels.tolist() == [-1] * 3
    assert [each.tolist() for each in targets.occupied] == [each.tolist() for each in targets.boxes]


def test_a_project_teaches_its_own_format() -> None:
    """A made-up package whose batch is a dict of species and upright boxes with a width and a height."""

    def read(inputs: torch.Tensor, samples: dict[str, Any]) -> Targets:
        boxes = [torch.cat([rows[:, :2], rows[:, :2] + rows[:, 2:]], 1) for rows in samples['nests']]
        return Targets.empty(inputs, boxes=boxes, labels=samples['species'])

    batch = {
        'nests': [torch.tensor([[1.0, 2, 10, 20]]), torch.zeros(0, 4), torch.zeros(0, 4)],
        'species': [torch.tensor([7]), *[torch.zeros(0, dtype=torch.long)] * 2],
    }
    with pytest.raises(ValueError, match=r"^Birds trains on data_samples of the type dict with \['nests', 'species'\]"):
        check_batch('Birds', INPUTS, batch)
    with pytest.raises(ValueError, match='no batch format fits'):
        read_targets(INPUTS, batch)
    mmcds.register_batch_format(
        'birds',
        lambda samples: isinstance(samples, dict) and 'nests' in samples,
        read,
        lambda inputs, samples: '' if len(samples['nests']) == len(inputs) else 'too few nests',
    )
    check_batch('Birds', INPUTS, batch)
    targets = read_targets(INPUTS, batch)
    assert targets.boxes[0].tolist() == [[1, 2, 11, 22]]
    assert targets.labels[0].tolist() == [7]
    with pytest.raises(ValueError, match=r'^Birds trains on too few nests'):
        check_batch('Birds', INPUTS[:2], batch)


def test_a_registered_package_is_not_refused_any_more() -> None:
    from toys import toy_model

    from mmcds.apis import add_cds

    cfg = toy_model('retinanet')
    cfg.model.bbox_head.loss_cls.type = 'mmdet.FocalLoss'
    cfg.model.data_preprocessor.type = 'mmpose.PoseDataPreprocessor'
    with pytest.raises(ValueError, match=r"register_batch_format\('mmpose', \.\.\.\)$"):
        add_cds(cfg)
    mmcds.register_batch_format('mmpose', lambda samples: False, lambda inputs, samples: Targets.empty(inputs))
    assert add_cds(cfg).model.neck.type == 'mmcds.CDSNeck'


@pytest.mark.parametrize(
    ('inputs', 'samples', 'message'),
    [
        (INPUTS, None, r'inputs of the form \(3, 3, 32, 48\) without data samples'),
        (INPUTS[None], [BaseDataElement()], r'inputs of the form \(1, 3, 3, 32, 48\)'),
        ([INPUTS], [BaseDataElement()], 'inputs of the form list'),
        (INPUTS, [BaseDataElement()], '3 images with 1 data samples'),
        (INPUTS, 'abc', 'data_samples of the type str'),
        (INPUTS, {'bboxes_labels': torch.zeros(2, 5)}, r'bboxes_labels \(2, 5\), not \(M, 6\) or, rotated, \(M, 7\)'),
    ],
)
def test_other_batches_are_refused_in_one_line(inputs: Any, samples: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f'^Model trains on {message}; .*register_batch_format$'):
        check_batch('Model', inputs, samples)
