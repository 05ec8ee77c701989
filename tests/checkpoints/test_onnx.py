"""Exported networks in onnxruntime against the detector itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from toys import build, toy_model

from mmcds import add_cds
from mmcds.checkpoints.export import build_for_test
from mmcds.checkpoints.onnx import export_onnx, largest_difference
from mmcds.config.load_config import load_config

runtime = pytest.importorskip('onnxruntime')


@pytest.mark.parametrize('name', ['retinanet', 'faster_rcnn'])
def test_a_detector(name: str, tmp_path: Path, mmdet_scope: None) -> None:
    cfg = add_cds(toy_model(name), queue_length=4)
    model = build(cfg).eval()
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'a.pth')
    parts = export_onnx(Config(dict(model=cfg.model)), tmp_path / 'a.pth', tmp_path / 'out/a.onnx', (64, 96))
    assert [part.path.name for part in parts] == ['a.onnx', 'a_roi.onnx'][: 1 + (name == 'faster_rcnn')]
    assert all(part.difference < 1e-5 for part in parts)
    image = torch.randn(1, 3, 64, 96)
    session = runtime.InferenceSession(str(parts[0].path))
    found = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        features = model.extract_feat(image)
        scores, boxes = (model.rpn_head if name == 'faster_rcnn' else model.bbox_head)(features)
    names = [each.name for each in session.get_outputs()]
    levels = [f'{kind}{i}' for kind in ('scores', 'boxes') for i in range(5)]
    assert names == [*([f'features{i}' for i in range(5)] if name == 'faster_rcnn' else []), *levels]
    expected = [*(features if name == 'faster_rcnn' else ()), *scores, *boxes]
    assert len(found) == len(expected) == parts[0].outputs
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-3, atol=1e-5)


def test_any_number_of_rois(tmp_path: Path, mmdet_scope: None) -> None:
    model = build(toy_model('faster_rcnn')).eval()
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'a.pth')
    parts = export_onnx(
        Config(dict(model=toy_model('faster_rcnn').model)), tmp_path / 'a.pth', tmp_path / 'a.onnx', (64, 64)
    )
    session = runtime.InferenceSession(str(parts[1].path))
    for count in (1, 37):
        rois = torch.randn(count, 16, 7, 7)
        found = session.run(['scores', 'boxes'], {'rois': rois.numpy()})
        with torch.no_grad():
            expected = model.roi_head.bbox_head(rois)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ('config', 'reason'),
    [
        ('cascade_rcnn/cascade-rcnn_r18_fpn_8xb8-amp-lsj-200e_coco.py', 'CascadeRCNN has more than a box head'),
        ('detr/detr_r50_8xb2-150e_coco.py', 'DETR has a head that cannot be called on features alone'),
        ('solo/solo_r50_fpn_1x_coco.py', 'SOLO is not known here'),
    ],
)
def test_what_is_not_only_dense_is_refused(config: str, reason: str, tmp_path: Path) -> None:
    cfg = load_config(f'mmdet::{config}')
    cfg.model.backbone.init_cfg = None
    torch.save({'state_dict': build_for_test(cfg).state_dict()}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=rf'^--onnx: {reason}.*; export it with MMDeploy$'):
        export_onnx(cfg, tmp_path / 'a.pth', tmp_path / 'a.onnx', (64, 64))
    assert not (tmp_path / 'a.onnx').exists()


def test_what_is_refused(tmp_path: Path) -> None:
    cfg = add_cds(toy_model('retinanet'))
    with pytest.raises(ValueError, match=r"^--onnx='a.txt' is no ONNX file"):
        export_onnx(cfg, 'a.pth', 'a.txt', (64, 64))
    with pytest.raises(ValueError, match=r'^--size=0'):
        export_onnx(cfg, 'a.pth', 'a.onnx', (0, 64))
    torch.save({'state_dict': {'x': torch.zeros(1)}}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth.* does not fit the config: .* keys such as .* are on one side only'):
        export_onnx(cfg, tmp_path / 'a.pth', tmp_path / 'a.onnx', (64, 64))


def test_a_file_that_differs_takes_the_place_of_no_other(
    tmp_path: Path, mmdet_scope: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = toy_model('retinanet')
    torch.save({'state_dict': build(cfg).state_dict()}, tmp_path / 'a.pth')
    (tmp_path / 'a.onnx').write_bytes(b'good')
    monkeypatch.setattr('mmcds.checkpoints.onnx.TOLERANCE', -1.0)
    with pytest.raises(ValueError, match=r'a\.onnx: onnxruntime differs from PyTorch'):
        export_onnx(cfg, tmp_path / 'a.pth', tmp_path / 'a.onnx', (64, 64))
    assert (tmp_path / 'a.onnx').read_bytes() == b'good'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.onnx', 'a.pth']


def test_an_output_that_is_no_number_differs() -> None:
    outputs = [torch.tensor([1.0, 2.0]), torch.tensor([1.0, torch.nan])]
    assert largest_difference([outputs[0].numpy() + 0.5], outputs[:1]) == 0.25
    assert np.isnan(largest_difference([each.numpy() for each in outputs], outputs))
