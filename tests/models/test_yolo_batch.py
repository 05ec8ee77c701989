"""Rotated boxes in the batches of mmyolo."""

import torch

from mmcds.models.data_samples import check_batch, read_targets


def test_rows_of_rotated_boxes() -> None:
    inputs = torch.zeros(2, 3, 32, 32)
    batch = {'bboxes_labels': torch.tensor([[1, 3, 16, 12, 8, 4, 0.5], [0, 2, 8, 8, 4, 4, -0.25]])}
    check_batch('YOLODetector', inputs, batch)
    targets = read_targets(inputs, batch)
    assert [boxes.tolist() for boxes in targets.boxes] == [[[8, 8, 4, 4, -0.25]], [[16, 12, 8, 4, 0.5]]]
    assert [labels.tolist() for labels in targets.labels] == [[2], [3]]
