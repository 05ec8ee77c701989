"""Exported networks in onnxruntime against the detector itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from toys import build, toy_model

from mmcds import add_cds
from mmcds.onnx import export_onnx

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
    expected = [*(features if name == 'faster_rcnn' else ()), *scores, *boxes]
    assert len(found) == len(expected) == parts[0].outputs
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-3, atol=1e-5)


def test_what_is_refused(tmp_path: Path) -> None:
    cfg = add_cds(toy_model('retinanet'))
    with pytest.raises(ValueError, match=r"^--onnx='a.txt' is no ONNX file"):
        export_onnx(cfg, 'a.pth', 'a.txt', (64, 64))
    with pytest.raises(ValueError, match=r'^--size=0'):
        export_onnx(cfg, 'a.pth', 'a.onnx', (0, 64))
    torch.save({'state_dict': {'x': torch.zeros(1)}}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth does not fit the config: .*Missing key'):
        export_onnx(cfg, tmp_path / 'a.pth', tmp_path / 'a.onnx', (64, 64))
