"""Features of images and boxes whose colours are known, and hooks that are gone afterwards."""

from typing import Any

import pytest
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from toys import hooks_of

from mmcds.analysis.probing.tap_features import TapRecorder, instance_rois, tap_features


class Colours(nn.Module):
    """The image at strides 2 and 4, each with a constant channel of its own; also something that is no map."""

    def forward(self, x: Tensor) -> tuple[Any, ...]:
        one = torch.ones_like(x[:, :1])
        halves = [nn.functional.avg_pool2d(torch.cat([x, one * k], 1), 2 * k) for k in (1, 2)]
        return (*halves, {'queries': x})


class Model(nn.Module):
    """What tap_features asks of a model; the neck is the mean of the first output."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Colours()
        self.neck = nn.Sequential()
        self.data_preprocessor = Stack()

    def extract_feat(self, inputs: Tensor) -> Tensor:
        return self.neck(self.backbone(inputs)[0].mean((2, 3)))


class Stack(nn.Module):
    def forward(self, data: dict, training: bool) -> dict:
        assert not training
        return {**data, 'inputs': torch.stack(data['inputs']).float()}


def sample(label: int | None = None, **meta: Any) -> BaseDataElement:
    found = BaseDataElement(metainfo=meta)
    if label is not None:
        found.gt_label = torch.tensor([label])
    return found


def test_images() -> None:
    model = Model().train()
    images = [torch.full((3, 8, 8), float(i)) for i in range(4)]
    batches = [
        ({'inputs': images[:2], 'data_samples': [sample(5), sample(None)]}, None),
        ({'inputs': images[2:], 'data_samples': [sample(6), sample(7)]}, None),
    ]
    found = tap_features(model, batches)
    assert found.labels.tolist() == [5, 6, 7]
    assert found.skipped == 1
    # Without a CDSNeck all outputs of the backbone that are maps.
    assert list(found.features) == ['backbone.0', 'backbone.1']
    assert found.features['backbone.0'].tolist() == [[0, 0, 0, 1], [2, 2, 2, 1], [3, 3, 3, 1]]
    assert found.features['backbone.1'].tolist() == [[0, 0, 0, 2], [2, 2, 2, 2], [3, 3, 3, 2]]
    assert found.embeddings == {}
    named = tap_features(model, batches, ['neck.0'])
    assert torch.equal(named.features['neck.0'], found.features['backbone.0'])
    assert model.training
    assert hooks_of(model) == 0


def test_objects() -> None:
    """Two boxes of plain colour, given in pixels of a file of half the width and a quarter of the height."""
    image = torch.zeros(3, 64, 64)
    image[0, :32, :32], image[1, 32:, 16:] = 10, 20
    objects = [
        {'bbox': [2, 1, 14, 7], 'bbox_label': 3, 'ignore_flag': 0},
        {'bbox': [0, 0, 9, 9], 'bbox_label': 1, 'ignore_flag': 1},
        {'bbox': [12, 9, 28, 15], 'bbox_label': 0},
        {'bbox': [12, 9, 12, 15], 'bbox_label': 0},
    ]
    data = {'inputs': [image], 'data_samples': [sample(scale_factor=(2.0, 4.0))]}
    found = tap_features(Model(), [(data, [objects])], ['backbone.1'])
    assert found.labels.tolist() == [3, 0]
    assert found.skipped == 1
    torch.testing.assert_close(found.features['backbone.1'], torch.tensor([[10.0, 0, 0, 2], [0, 20, 0, 2]]))


def test_scales_of_boxes() -> None:
    box = [{'bbox': [1, 2, 3, 4], 'bbox_label': 0}]
    for meta, expected in (
        ({'scale_factor': (2.0, 3.0)}, [0, 2, 6, 6, 12]),
        ({'img_shape': (30, 20), 'ori_shape': (10, 10)}, [0, 2, 6, 6, 12]),
        ({'img_shape': (30, 20)}, [0, 1, 2, 3, 4]),
        ({}, [0, 1, 2, 3, 4]),
    ):
        rois, labels, keep = instance_rois([box], [sample(**meta)], torch.device('cpu'))
        assert rois.tolist() == [expected]
        assert labels.tolist() == [0]
        assert keep.tolist() == [True]


def test_what_is_refused() -> None:
    model = Model()
    batches = [({'inputs': [torch.ones(3, 8, 8)], 'data_samples': [sample(1)]}, None)]
    for name in ('backbone.2', 'backbone.7', 'head.0', 'backbone'):
        with pytest.raises(ValueError, match=rf"taps='{name}' is not known.*valid: backbone.0, backbone.1, neck.0"):
            tap_features(model, batches, [name])
    assert hooks_of(model) == 0
    with pytest.raises(ValueError, match='none of the 1 rows has a class'):
        tap_features(model, [({'inputs': [torch.ones(3, 8, 8)], 'data_samples': [sample()]}, None)])
    with pytest.raises(ValueError, match=r'Linear has no model\.backbone'):
        TapRecorder(nn.Linear(1, 1))
