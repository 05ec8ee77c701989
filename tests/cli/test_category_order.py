"""mmdet numbers categories by their place in each file; files that disagree are an error."""

import json
from pathlib import Path
from typing import Any

import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config

from mmcds.cli.check_detection import check_datasets
from mmcds.cli.coco_report import read_label_names
from mmcds.cli.label_order import LabelOrder, contradiction

CLASSES = ('cat', 'dog')


def write(root: Path, name: str, *categories: str, extra: str = '') -> Path:
    """One image with a box of each category; ids follow the alphabet, whatever the order."""
    (root / 'images').mkdir(exist_ok=True)
    (root / 'images' / '0.jpg').touch()
    ids = {each: i + 1 for i, each in enumerate(sorted(categories))}
    content = {
        'images': [{'id': 0, 'file_name': '0.jpg', 'width': 100, 'height': 80, extra or 'note': []}],
        'annotations': [
            {'id': i, 'image_id': 0, 'category_id': i, 'bbox': [1, 1, 20, 20], 'area': 400, 'iscrowd': 0}
            for i in ids.values()
        ],
        'categories': [{'id': ids[each], 'name': each} for each in categories],
    }
    path = root / name
    path.write_text(json.dumps(content))
    return path


def leaf(root: Path, ann_file: str, classes: Any = CLASSES, **fields: Any) -> dict[str, Any]:
    return {
        'type': 'CocoDataset',
        'data_root': str(root),
        'ann_file': ann_file,
        'data_prefix': {'img': 'images/'},
        'metainfo': {'classes': classes},
        'pipeline': [{'type': 'LoadImageFromFile'}],
        **fields,
    }


def config(train: Any, val: Any = None, test: Any = None, **fields: Any) -> Config:
    loaders = {'train_dataloader': train, 'val_dataloader': val, 'test_dataloader': test}
    used = {name: {'dataset': dataset} for name, dataset in loaders.items() if dataset is not None}
    return Config({'default_scope': 'mmdet', 'model': {'bbox_head': {'num_classes': 2}}, **used, **fields})


def error_of(cfg: Config, *arguments: Any) -> str:
    errors = [str(error) for report in check_datasets(cfg, *arguments) for error in report.errors]
    assert len(errors) <= 1, errors
    return errors[0] if errors else ''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, 'cd.json', 'cat', 'dog')
    write(tmp_path, 'dc.json', 'dog', 'cat')
    return tmp_path


@pytest.mark.parametrize('val_classes', [CLASSES, CLASSES[::-1]])
def test_validation_in_another_order_whatever_the_classes_say(root: Path, val_classes: Any) -> None:
    labels = [
        CocoDataset(**{k: v for k, v in leaf(root, file).items() if k not in ('type', 'pipeline')}).cat2label
        for file in ('cd.json', 'dc.json')
    ]
    assert labels == [{1: 0, 2: 1}, {2: 0, 1: 1}]  # the fault itself
    text = error_of(config(leaf(root, 'cd.json'), leaf(root, 'dc.json', val_classes)))
    assert f"'dog' is label 1 in train_dataloader.dataset ('{root}/cd.json')" in text
    assert f"label 0 in val_dataloader.dataset ('{root}/dc.json')" in text
    assert f"bring the list 'categories' of '{root}/dc.json' into the order cat, dog" in text
    assert '\n' not in text


def test_the_file_that_disagrees_with_the_classes_is_to_be_changed(root: Path) -> None:
    text = error_of(config(leaf(root, 'dc.json'), leaf(root, 'cd.json')))
    assert f"'categories' of '{root}/dc.json' into the order cat, dog" in text


def test_members_of_wrappers_are_compared(root: Path) -> None:
    members = {'type': 'ConcatDataset', 'datasets': [leaf(root, 'cd.json'), leaf(root, 'dc.json')]}
    text = error_of(config({'type': 'RepeatDataset', 'times': 2, 'dataset': members}))
    assert 'label 1 in train_dataloader.dataset.dataset.datasets[0]' in text
    assert 'label 0 in train_dataloader.dataset.dataset.datasets[1]' in text


def test_test_files_and_evaluators_are_compared_before_training(root: Path) -> None:
    good = leaf(root, 'cd.json')
    assert 'label 0 in test_dataloader.dataset' in error_of(config(good, good, leaf(root, 'dc.json')))
    evaluator = {'type': 'CocoMetric', 'ann_file': str(root / 'dc.json')}
    assert 'label 0 in val_evaluator.ann_file' in error_of(config(good, good, val_evaluator=evaluator))
    assert error_of(config(good, good, val_evaluator={**evaluator, 'sort_categories': True})) == ''
    write(root, 'ce.json', 'cat', 'eel')
    evaluator['ann_file'] = str(root / 'ce.json')
    assert 'has no categories dog' in error_of(config(good, good, val_evaluator=evaluator))


@pytest.mark.parametrize(
    ('train', 'val', 'classes'),
    [
        (('cat', 'dog'), ('cat', 'eel', 'dog', 'ape'), CLASSES),  # others are not among the classes
        (('dog', 'cat'), ('eel', 'dog', 'cat'), CLASSES),  # both unlike the classes: names are shown wrongly
        (('dog', 'cat'), ('dog', 'cat'), ('dog', 'cat')),  # ids in another order than the names
    ],
)
def test_files_that_number_alike_pass(tmp_path: Path, train: Any, val: Any, classes: Any) -> None:
    write(tmp_path, 'train.json', *train)
    write(tmp_path, 'val.json', *val)
    cfg = config(leaf(tmp_path, 'train.json', classes), leaf(tmp_path, 'val.json', classes))
    assert error_of(cfg) == ''
    warned = [report.summary() for report in check_datasets(cfg) if 'another order' in report.summary()]
    assert len(warned) == 2 * (train != classes)
    assert all("write classes=('dog', 'cat') in every data set" in each for each in warned)


def test_following_the_advice_on_names_is_right_and_silences_it(root: Path) -> None:
    cfg = config(leaf(root, 'dc.json', ('dog', 'cat')), leaf(root, 'dc.json', ('dog', 'cat')))
    assert [report.summary() for report in check_datasets(cfg)] == ['', '']


def test_a_test_set_of_other_classes_is_no_business_of_a_training(root: Path) -> None:
    write(root, 'other.json', 'ape', 'dog')
    good = leaf(root, 'cd.json')
    assert error_of(config(good, good, leaf(root, 'other.json', ('ape', 'dog')))) == ''
    assert error_of(config(good, good, leaf(root, 'missing.json'))) == ''
    assert error_of(config(good, good, leaf(root, 'dc.json', type='NotInstalled'))) == ''


def test_open_vocabulary_data_sets_number_nothing(root: Path) -> None:
    pair = [leaf(root, 'cd.json', return_classes=True), leaf(root, 'dc.json', ('dog', 'cat'), return_classes=True)]
    assert error_of(config(*pair)) == ''


def test_a_test_is_compared_with_the_training_file(root: Path) -> None:
    cfg = config(leaf(root, 'cd.json'), leaf(root, 'cd.json'), leaf(root, 'dc.json'))
    text = error_of(cfg, ['test_dataloader'])
    assert f"'categories' of '{root}/dc.json' into the order cat, dog" in text
    # Whatever the classes say, the checkpoint has the numbers of its training file.
    cfg = config(leaf(root, 'dc.json'), None, leaf(root, 'cd.json'))
    assert f"'categories' of '{root}/cd.json' into the order dog, cat" in error_of(cfg, ['test_dataloader'])
    cfg = config(leaf(root, 'dc.json'), leaf(root, 'cd.json'), leaf(root, 'dc.json'))
    assert error_of(cfg, ['test_dataloader']) == ''


def test_without_the_training_file_the_checkpoint_s_classes_are_only_a_hint(root: Path) -> None:
    cfg = config(leaf(root, 'gone.json'), None, leaf(root, 'dc.json'))

    def summary(*classes: str) -> str:
        (report,) = check_datasets(cfg, ['test_dataloader'], lambda: classes)
        report.raise_errors()
        return report.summary()

    assert 'another order than the classes of the checkpoint; if the training file, which is not there' in summary(
        'cat', 'dog'
    )
    assert 'checkpoint' not in summary('dog', 'cat')
    assert 'checkpoint' not in summary('person', 'car')
    assert 'checkpoint' not in summary()


def test_only_the_list_of_categories_is_needed(tmp_path: Path) -> None:
    for extra in ('', 'categories'):
        path = write(tmp_path, 'a.json', 'dog', 'eel', 'cat', extra=extra)
        assert read_label_names(path, ('cat', 'dog')) == ('dog', 'cat')
    path.write_text('{"categories": [{"id": 1, "na')
    assert read_label_names(path, ('cat', 'dog')) is None
    assert read_label_names(tmp_path / 'none.json', ('cat', 'dog')) is None


@pytest.mark.parametrize(
    ('names', 'other', 'contradict'),
    [
        (('Cat', 'Dog'), ('dog', 'cat'), True),
        (('Cat', 'Dog'), ('cat', 'dog'), False),
        (('a', 'A'), ('a', 'A'), False),
        (('a', 'A'), ('A', 'a'), True),
        (('cat', 'dog'), ('car', 'bus'), False),
        (('cat', 'dog'), ('cat', 'dog', 'eel'), False),
        (('cat', 'dog'), ('ant', 'cat', 'dog'), True),
    ],
)
def test_names_are_compared_by_their_numbers(names: Any, other: Any, contradict: bool) -> None:
    found = contradiction(LabelOrder('val', 'b', other), LabelOrder('train', 'a', names))
    assert bool(found) == contradict


def test_the_order_of_an_unlabelled_training_set_does_not_matter(root: Path) -> None:
    content = json.loads((root / 'dc.json').read_text())
    (root / 'unlabelled.json').write_text(json.dumps({**content, 'annotations': []}))
    members = {'type': 'ConcatDataset', 'datasets': [leaf(root, 'cd.json'), leaf(root, 'unlabelled.json')]}
    assert error_of(config(members, leaf(root, 'cd.json'))) == ''
