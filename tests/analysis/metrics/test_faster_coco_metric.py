"""The faster metric against mmdet's own, in every number that either has."""

import json
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.registry import DefaultScope

pytest.importorskip('mmdet')
pytest.importorskip('faster_coco_eval')

from mmdet.evaluation import CocoMetric
from mmdet.evaluation.metrics import coco_metric
from pycocotools.cocoeval import COCOeval

from benchmarks.speed.detections import Result, class_names, random_detections
from mmcds.analysis.metrics import FasterCocoMetric
from mmcds.analysis.metrics.faster_coco_metric import faster_evaluator
from mmcds.registry import METRICS

CLASSES = 4


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The evaluators as they are after their summary: what is reported is rounded to 0.001."""
    seen: list[Any] = []
    summarize = COCOeval.summarize

    def record(self: Any) -> None:
        summarize(self)
        seen.append(self)

    monkeypatch.setattr(COCOeval, 'summarize', record)
    return seen


def reported(
    kind: type, content: dict[str, Any] | None, results: list[Result], folder: Path, **options: Any
) -> dict[str, float]:
    if content is not None:
        options['ann_file'] = str(folder / 'annotations.json')
        Path(options['ann_file']).write_text(json.dumps(content))
    metric = kind(**options)
    metric.dataset_meta = dict(classes=class_names(CLASSES))
    return metric.compute_metrics(deepcopy(results))


def check_same(
    content: dict[str, Any] | None, results: list[Result], folder: Path, evaluated: list[Any], **options: Any
) -> dict[str, float]:
    """Both metrics on the same; what they report and what that was computed from. Returns the report."""
    evaluated.clear()
    expected, found = (reported(kind, content, results, folder, **options) for kind in (CocoMetric, FasterCocoMetric))
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6, nan_ok=True), name
    half = len(evaluated) // 2
    assert [type(each) for each in evaluated] == [COCOeval] * half + [faster_evaluator()] * half
    for stock, faster in zip(evaluated[:half], evaluated[half:], strict=True):
        np.testing.assert_allclose(faster.stats, stock.stats, rtol=0, atol=1e-6)
        for key in ('precision', 'recall', 'scores'):
            np.testing.assert_allclose(faster.eval[key], stock.eval[key], rtol=0, atol=1e-6, err_msg=key)
    return expected


def test_boxes_and_masks(tmp_path: Path, evaluated: list[Any]) -> None:
    content, results = random_detections(40, CLASSES, 30)
    assert sum(each['iscrowd'] for each in content['annotations']) > 5
    found = check_same(content, results, tmp_path, evaluated, metric=['bbox', 'segm'], classwise=True)
    assert len(evaluated) == 4
    names = ('bbox_mAP', 'bbox_mAP_75', 'bbox_mAP_s', 'bbox_mAP_l', 'segm_mAP', 'segm_mAP_m', 'class 3_precision')
    # In the range where a difference would show; masks and boxes are not the same thing.
    assert all(0.02 < found[name] < 0.9 for name in names)
    assert abs(evaluated[0].stats[0] - evaluated[1].stats[0]) > 1e-4


def test_more_detections_of_a_class_than_map_takes(tmp_path: Path, evaluated: list[Any]) -> None:
    """mAP is over the best 100 of an image and class, mAP_50 over 1000: the package's own summary has it otherwise."""
    content, results = random_detections(12, CLASSES, 700, masks=False)
    check_same(content, results, tmp_path, evaluated)
    stock = evaluated[0]
    precision = stock.eval['precision'][:, :, :, 0, -1]
    assert abs(stock.stats[0] - precision[precision > -1].mean()) > 1e-4


@pytest.mark.parametrize(
    'options',
    [
        dict(metric=['proposal', 'bbox']),
        dict(proposal_nums=(1, 10, 100)),
        dict(proposal_nums=(1, 10, 100), metric_items=['mAP', 'mAP_50', 'AR@100', 'AR_s@1000']),
        dict(iou_thrs=np.linspace(0.5, 0.75, 6)),
    ],
    ids=lambda options: ' '.join(options),
)
def test_options(options: dict[str, Any], tmp_path: Path, evaluated: list[Any]) -> None:
    found = check_same(*random_detections(20, CLASSES, 40, seed=1, masks=False), tmp_path, evaluated, **options)
    assert len(found) > 3


def test_categories_and_images_beyond_the_data_set_s(tmp_path: Path, evaluated: list[Any]) -> None:
    """More categories than the data set has classes, one without an annotation, and an annotation with the id 0."""
    content, results = random_detections(20, CLASSES + 2, 30, seed=2)
    content['annotations'] = [each for each in content['annotations'] if each['category_id'] != 3]
    for number, annotation in enumerate(content['annotations']):
        annotation['id'] = number
    for _, result in results:
        keep = np.flatnonzero(result['labels'] < CLASSES)
        result.update({key: result[key][keep] for key in ('bboxes', 'scores', 'labels')})
        result['masks'] = [result['masks'][i] for i in keep]
    found = check_same(content, results, tmp_path, evaluated, metric=['bbox', 'segm'], classwise=True)
    assert np.isnan(found['class 1_precision'])
    check_same(content, results, tmp_path, evaluated, metric='proposal')


def test_ground_truth_of_the_data_samples(tmp_path: Path, evaluated: list[Any]) -> None:
    """Without an annotation file mmdet makes one from what the loader gives."""
    content, results = random_detections(15, CLASSES, 20, seed=3, masks=False)
    for truth, _ in results:
        annotations = [each for each in content['annotations'] if each['image_id'] == truth['img_id']]
        truth['anns'] = [
            {
                'bbox': [x, y, x + w, y + h],
                'bbox_label': (each['category_id'] - 1) // 2,
                'ignore_flag': each['iscrowd'],
            }
            for each in annotations
            for x, y, w, h in [each['bbox']]
        ]
    assert check_same(None, results, tmp_path, evaluated)['bbox_mAP_50'] > 0.02


def test_no_detection_and_no_annotation(tmp_path: Path, evaluated: list[Any]) -> None:
    content, results = random_detections(5, CLASSES, 10, seed=4, masks=False)
    content['annotations'] = []
    assert check_same(content, results, tmp_path, evaluated)['bbox_mAP'] == -1
    content, results = random_detections(5, CLASSES, 0, seed=4, masks=False)
    assert check_same(content, results, tmp_path, evaluated) == {}


def test_is_built_by_its_name_and_leaves_mmdet_s_own_alone() -> None:
    with DefaultScope.overwrite_default_scope('mmdet'):
        metric = METRICS.build(dict(type='mmcds.FasterCocoMetric', metric='bbox'))
    assert isinstance(metric, CocoMetric)
    assert coco_metric.COCOeval is COCOeval
    assert sys.modules['pycocotools'].__name__ == 'pycocotools'


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^FasterCocoMetric\.use_mp_eval=True .* leave it out, or use type='Coco"):
        FasterCocoMetric(use_mp_eval=True)
    faster_evaluator.cache_clear()
    monkeypatch.setitem(sys.modules, 'faster_coco_eval.core', None)
    with pytest.raises(ImportError, match=r'^[^\n]*pip install -r requirements/optional\.txt, or use [^\n]*$'):
        FasterCocoMetric()
