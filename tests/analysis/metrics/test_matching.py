"""Matching detections with objects against COCO's own evaluation."""

import numpy as np
import pytest
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from toys import instances

from mmcds.analysis.metrics.matching import assign_detections, match_detections, without_ignored


def random_instances(rng: np.random.Generator, count: int, scored: bool) -> InstanceData:
    corner = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 40, (count, 2))], axis=1)
    scores = np.sort(rng.permutation(100)[:count] / 100)[::-1].tolist() if scored else None
    return instances(boxes.tolist(), rng.integers(0, 2, count).tolist(), scores)


@pytest.mark.parametrize('seed', range(20))
def test_matching_is_that_of_cocos_evaluation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = random_instances(rng, int(rng.integers(1, 8)), scored=False)
    found = random_instances(rng, int(rng.integers(1, 12)), scored=True)
    crowds = random_instances(rng, int(rng.integers(0, 3)), scored=False)
    right, taken = match_detections(found, truth, iou=0.3)
    counted = without_ignored(found, truth, crowds, iou=0.3)

    def annotations(data: InstanceData, crowd: int = 0) -> list[dict]:
        boxes = data.bboxes.double().numpy()
        return [
            {
                'id': i + 1 + 100 * crowd,
                'image_id': 0,
                'category_id': int(data.labels[i]),
                'bbox': [*box[:2], *(box[2:] - box[:2])],
                'area': float(np.prod(box[2:] - box[:2])),
                'iscrowd': crowd,
                **({'score': float(data.scores[i])} if 'scores' in data else {}),
            }
            for i, box in enumerate(boxes)
        ]

    coco = COCO()
    coco.dataset = {
        'info': {},
        'images': [{'id': 0}],
        'categories': [{'id': 0}, {'id': 1}],
        'annotations': annotations(truth) + annotations(crowds, crowd=1),
    }
    coco.createIndex()
    evaluation = COCOeval(coco, coco.loadRes(annotations(found)), 'bbox')
    evaluation.params.iouThrs = np.array([0.3])
    evaluation.evaluate()
    area = evaluation.params.areaRng[0]
    expected_right, expected_taken = np.zeros(len(right), bool), np.zeros(len(taken), bool)
    ignored = np.zeros(len(right), bool)
    for result in evaluation.evalImgs:
        if result is not None and result['aRng'] == area:
            numbers, objects = np.array(result['dtIds'], int) - 1, np.array(result['gtIds'], int)
            ignored[numbers] = result['dtIgnore'][0]
            expected_right[numbers] = (result['dtMatches'][0] > 0) & ~result['dtIgnore'][0].astype(bool)
            expected_taken[objects[objects < 100] - 1] = result['gtMatches'][0][objects < 100] > 0
    np.testing.assert_array_equal(right, expected_right)
    np.testing.assert_array_equal(taken, expected_taken)
    np.testing.assert_array_equal(counted.scores, found.scores[~ignored])


def test_an_ignored_box_without_a_class_is_of_every_class() -> None:
    found = instances([[0, 0, 10, 10], [50, 50, 60, 60]], [1, 1], [0.9, 0.8])
    left = without_ignored(found, instances([], []), instances([[0, 0, 40, 40]], [-1]))
    assert left.bboxes.tolist() == [[50, 50, 60, 60]]


def test_an_object_is_found_once_and_by_its_class() -> None:
    truth = instances([[0, 0, 10, 10], [50, 50, 60, 60]], [0, 1])
    found = instances([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]], [0, 0, 0], [0.5, 0.9, 0.8])
    right, taken = match_detections(found, truth)
    assert right.tolist() == [False, True, False]
    assert taken.tolist() == [True, False]


def test_each_detection_knows_its_object() -> None:
    truth = instances([[0, 0, 10, 10], [20, 0, 30, 10]], [0, 1])
    found = instances([[20, 0, 30, 10], [0, 0, 10, 9], [0, 0, 10, 10]], [1, 0, 0], [0.9, 0.8, 0.7])
    assert assign_detections(found, truth).tolist() == [1, 0, -1]
    assert assign_detections(found, instances([], [])).tolist() == [-1, -1, -1]
