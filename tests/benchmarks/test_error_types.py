"""Types of errors, against what each made-up detection is."""

from typing import Any

import pytest

from benchmarks.experiments.errors import errors_of, of_classes

TRUTH: dict[str, Any] = {
    'categories': [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'dog'}],
    'annotations': [
        {'image_id': image, 'category_id': kind, 'bbox': [10, 10, 20, 20]} for kind in (1, 2) for image in (1, 2)
    ],
}


def detection(image: int, kind: int, box: list[int], score: float = 0.9) -> dict[str, Any]:
    return {'image_id': image, 'category_id': kind, 'bbox': box, 'score': score}


RIGHT = [10, 10, 20, 20]
GOOD = [detection(image, kind, RIGHT) for kind in (1, 2) for image in (1, 2)]


@pytest.mark.parametrize(
    ('changed', 'kinds'),
    [
        ({}, set()),
        ({'bbox': [10, 10, 10, 10]}, {'BoxError'}),  # IoU 0.25
        ({'bbox': [100, 100, 5, 5]}, {'BackgroundError', 'MissedError'}),
        (None, {'MissedError'}),
    ],
)
def test_what_is_wrong_has_its_type(changed: dict[str, Any] | None, kinds: set[str]) -> None:
    found = GOOD[1:] if changed is None else [{**GOOD[0], **changed, 'score': 0.95 if changed else 0.9}, *GOOD[1:]]
    errors = errors_of(TRUTH, found, 0.5)
    assert (errors.pop('AP') == pytest.approx(100, abs=0.1)) == (not kinds)
    assert {name for name, value in errors.items() if value > 1} == kinds


def test_classes_that_are_not_tested_do_not_count() -> None:
    kept = of_classes(TRUTH, ('dog',))
    assert kept['categories'] == [{'id': 2, 'name': 'dog'}]
    assert [each['category_id'] for each in kept['annotations']] == [2, 2]
