"""What is said of annotation files and of configs that do not fit them."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config

from mmcds.datasets.check import check_coco, check_datasets

Content = dict[str, Any]


@pytest.fixture
def content() -> Content:
    return {
        'images': [{'id': i, 'file_name': f'{i}.jpg', 'width': 100, 'height': 80} for i in range(3)],
        'annotations': [
            {'id': 1, 'image_id': 0, 'category_id': 1, 'bbox': [10, 10, 20, 20], 'area': 400, 'iscrowd': 0},
            {'id': 2, 'image_id': 1, 'category_id': 2, 'bbox': [0, 0, 100, 80], 'area': 8000, 'iscrowd': 0},
            {'id': 3, 'image_id': 2, 'category_id': 3, 'bbox': [50, 50, 5, 6], 'area': 30, 'iscrowd': 0},
        ],
        'categories': [{'id': i + 1, 'name': name} for i, name in enumerate(('cat', 'dog', 'cow'))],
    }


def write(folder: Path, content: object) -> Path:
    (folder / 'images').mkdir(parents=True, exist_ok=True)
    for i in range(3):
        (folder / 'images' / f'{i}.jpg').touch()
    path = folder / 'train.json'
    path.write_text(json.dumps(content))
    return path


def findings(folder: Path, content: object, classes: Any = ('cat', 'dog', 'cow'), **kwargs: Any) -> Any:
    return check_coco(write(folder, content), folder / 'images', classes, name='train', **kwargs)


def message(report: Any, kind: type[Exception] = ValueError) -> str:
    with pytest.raises(kind) as error:
        report.raise_errors()
    assert '\n' not in str(error.value)
    return str(error.value)


def used_by_mmdet(path: Path, folder: Path, **kwargs: Any) -> list[int]:
    """The number of boxes per image that mmdet itself keeps."""
    dataset = CocoDataset(
        ann_file=str(path), data_prefix={'img': str(folder)}, metainfo={'classes': ('cat', 'dog', 'cow')}, **kwargs
    )
    return [len(dataset.get_data_info(i)['instances']) for i in range(len(dataset))]


def test_a_good_file_has_no_findings(tmp_path: Path, content: Content) -> None:
    report = findings(tmp_path, content, drops_empty=True)
    report.raise_errors()
    assert report.summary() == ''
    assert (report.num_images, report.num_boxes) == (3, 3)


def test_a_missing_file_names_what_is_there(tmp_path: Path, content: Content) -> None:
    path = write(tmp_path, content)
    text = message(check_coco(path.with_name('trian.json')), FileNotFoundError)
    assert str(tmp_path / 'trian.json') in text
    assert 'train.json' in text
    text = message(check_coco(tmp_path / 'annotations' / 'train.json'), FileNotFoundError)
    assert f"'{tmp_path}' holds images/, train.json" in text


@pytest.mark.parametrize('cut', [0, 1, 50, -1])
def test_a_cut_file_is_said_to_be_cut(tmp_path: Path, content: Content, cut: int) -> None:
    path = write(tmp_path, content)
    path.write_text(path.read_text()[:cut])
    assert 'cut off' in message(check_coco(path, tmp_path / 'images'))


@pytest.mark.parametrize('other', [[{'image_id': 1, 'bbox': [1, 2, 3, 4]}], {'data_list': []}, 3])
def test_another_format_is_named(tmp_path: Path, other: object) -> None:
    assert 'another format' in message(findings(tmp_path, other))


@pytest.mark.parametrize(
    ('part', 'key'), [('images', 'height'), ('annotations', 'area'), ('annotations', 'bbox'), ('categories', 'name')]
)
def test_a_missing_field_is_named(tmp_path: Path, content: Content, part: str, key: str) -> None:
    del content[part][1][key]
    text = message(findings(tmp_path, content))
    assert f"1 of 3 {part} in '{tmp_path}/train.json' have no '{key}' (first: id " in text


@pytest.mark.parametrize('part', ['images', 'annotations', 'categories'])
def test_an_id_that_occurs_twice_is_named(tmp_path: Path, content: Content, part: str) -> None:
    content[part][2]['id'] = content[part][1]['id']
    assert f'1 {part} in' in message(findings(tmp_path, content))


def test_classes_that_the_file_lacks(tmp_path: Path, content: Content) -> None:
    text = message(findings(tmp_path, content, ('cat', 'horse'), drops_empty=True))
    assert 'without horse' in text
    assert "metainfo=dict(classes=('cat', 'dog', 'cow'))" in text
    assert 'num_classes=3' in text
    content['categories'] = content['categories'][:1]
    assert "classes=('cat',)" in message(findings(tmp_path, content, ('person',)))
    assert "write classes=('cat',)" in message(findings(tmp_path, content, 'cat'))


def test_a_subset_of_the_classes_is_valid_and_counted(tmp_path: Path, content: Content) -> None:
    report = findings(tmp_path, content, ('cat', 'dog'))
    report.raise_errors()
    assert '1 boxes of categories that are not among the classes' in report.summary()


def test_classes_in_another_order_are_what_mmdet_mixes_up(tmp_path: Path, content: Content) -> None:
    report = findings(tmp_path, content, ('dog', 'cat', 'cow'))
    report.raise_errors()
    assert '2 classes in another order than in the file' in report.summary()
    dataset = CocoDataset(
        ann_file=report.ann_file, data_prefix={'img': ''}, metainfo={'classes': ('dog', 'cat', 'cow')}
    )
    label = dataset.get_data_info(0)['instances'][0]['bbox_label']
    assert dataset.metainfo['classes'][label] == 'dog'  # of an object that the file calls a cat


def test_counts_are_what_mmdet_leaves_out(tmp_path: Path, content: Content) -> None:
    extra = [
        {'bbox': [10, 10, 0, 20], 'area': 1},
        {'bbox': [10, 10, 5, 0.5], 'area': 2.5},
        {'bbox': [10, 10, 5, 5], 'area': 0},
        {'bbox': [200, 10, 5, 5], 'area': 25},
        {'bbox': [10, -20, 5, 5], 'area': 25},
        {'bbox': [90, 70, 20, 20], 'area': 400},
        {'bbox': [10, 10, 5, 5], 'area': 25, 'category_id': 77},
    ]
    for i, fields in enumerate(extra):
        content['annotations'].append({'id': 10 + i, 'image_id': 0, 'category_id': 1, **fields})
    content['annotations'].append({'id': 30, 'image_id': 55, 'category_id': 1, 'bbox': [1, 1, 5, 5], 'area': 25})
    content['annotations'][2]['area'] = 0  # the only box of image 2
    report = findings(tmp_path, content, drops_empty=True)
    report.raise_errors()
    assert [count for count in report.warnings.values() if count] == [4, 2, 1, 1, 1, 1]
    assert '1 images without a box (kept as background)' in report.summary()
    assert used_by_mmdet(Path(report.ann_file), tmp_path, filter_cfg={'filter_empty_gt': True}) == [2, 1, 0]
    assert report.summary().startswith('train (3 images, 11 boxes): 4 boxes under a pixel')


@pytest.mark.parametrize('bbox', [[1, 2, 3], [1, 2, 3, float('nan')], [1, 2, 3, None], None, 'box'])
def test_a_malformed_box_is_named(tmp_path: Path, content: Content, bbox: object) -> None:
    content['annotations'][1]['bbox'] = bbox
    assert 'first: annotation 2' in message(findings(tmp_path, content))


def test_corners_instead_of_sizes_are_recognised(tmp_path: Path, content: Content) -> None:
    for annotation, box in zip(
        content['annotations'], ([50, 40, 90, 70], [60, 30, 99, 79], [30, 30, 95, 75]), strict=True
    ):
        annotation['bbox'] = box
    assert 'they look like x1, y1, x2, y2' in findings(tmp_path, content).summary()


def test_no_box_at_all_is_fatal_only_where_empty_images_are_dropped(tmp_path: Path, content: Content) -> None:
    del content['annotations']
    findings(tmp_path, content).raise_errors()
    assert 'no image is left' in message(findings(tmp_path, content, drops_empty=True))


def test_images_that_do_not_exist(tmp_path: Path, content: Content) -> None:
    path = write(tmp_path, content)
    (tmp_path / 'images' / '1.jpg').unlink()
    report = check_coco(path, tmp_path / 'images')
    report.raise_errors()
    assert "1 of 3 images looked for do not exist (first: '1.jpg')" in report.summary()
    text = message(check_coco(path, tmp_path / 'imgs'), FileNotFoundError)
    assert 'none of 3' in text
    assert 'images/' in text


def test_every_file_is_looked_for_unless_a_sample_is_asked_for(tmp_path: Path, content: Content) -> None:
    content['images'] = [{**content['images'][0], 'id': i, 'file_name': f'{i}.jpg'} for i in range(1500)]
    path = write(tmp_path, content)
    for i in range(1500):
        (tmp_path / 'images' / f'{i}.jpg').touch()
    for i in (7, 1400):
        (tmp_path / 'images' / f'{i}.jpg').unlink()
    assert (
        "2 of 1500 images looked for do not exist (first: '7.jpg')" in check_coco(path, tmp_path / 'images').summary()
    )
    assert check_coco(path, tmp_path / 'images', sample=3).summary().count('do not exist') == 0


def config(folder: Path, **dataset: Any) -> Config:
    leaf = {
        'type': 'CocoDataset',
        'data_root': str(folder),
        'ann_file': 'train.json',
        'data_prefix': {'img': 'images/'},
        'metainfo': {'classes': ('cat', 'dog', 'cow')},
        'filter_cfg': {'filter_empty_gt': True},
        'pipeline': [{'type': 'NotLookedAt'}],
        **dataset,
    }
    wrapped = {'type': 'RepeatDataset', 'times': 2, 'dataset': {'type': 'ConcatDataset', 'datasets': [leaf, leaf]}}
    head = {'type': 'Shared2FCBBoxHead', 'num_classes': 3}
    return Config(
        {
            'default_scope': 'mmdet',
            'model': {
                'type': 'CascadeRCNN',
                'rpn_head': {'num_classes': 1},
                'roi_head': {'bbox_head': [head, dict(head)], 'mask_head': {'num_classes': 3}},
            },
            'train_dataloader': {'dataset': wrapped},
            'val_dataloader': {'dataset': {**leaf, 'test_mode': True}},
            'val_evaluator': {'type': 'CocoMetric', 'ann_file': str(folder / 'train.json')},
        }
    )


def test_a_good_config_is_walked_through_its_wrappers(tmp_path: Path, content: Content) -> None:
    write(tmp_path, content)
    cfg = config(tmp_path)
    before = copy.deepcopy(cfg.to_dict())
    reports = check_datasets(cfg)
    assert [report.name for report in reports] == [
        'train_dataloader.dataset.dataset.datasets[0]',
        'train_dataloader.dataset.dataset.datasets[1]',
        'val_dataloader.dataset',
    ]
    assert all(not report.errors and not report.summary() for report in reports)
    assert cfg.to_dict() == before


def test_heads_of_another_number_of_classes_are_named(tmp_path: Path, content: Content) -> None:
    write(tmp_path, content)
    cfg = config(tmp_path)
    cfg.model.roi_head.bbox_head[1].num_classes = 80
    cfg.model.roi_head.mask_head.num_classes = 5
    text = message(check_datasets(cfg)[0])
    assert 'model.roi_head.bbox_head[1].num_classes=80 but the data set has 3 classes (cat, dog, cow)' in text
    assert 'set model.roi_head.mask_head.num_classes=3' in text
    cfg.model.roi_head.mask_head.class_agnostic = True
    assert 'mask_head' not in message(check_datasets(cfg)[0])


def test_a_wrong_evaluator_file_is_found_before_the_first_epoch(tmp_path: Path, content: Content) -> None:
    write(tmp_path, content)
    cfg = config(tmp_path)
    cfg.val_evaluator.ann_file = str(tmp_path / 'val.json')
    assert 'val_evaluator.ann_file=' in message(check_datasets(cfg)[-1], FileNotFoundError)
    (tmp_path / 'val.json').touch()
    assert 'val_evaluator reads another file' in check_datasets(cfg)[-1].summary()


def test_other_types_remote_files_and_empty_configs_are_left_alone(tmp_path: Path) -> None:
    assert check_datasets(Config({})) == []
    assert check_datasets(Config({'train_dataloader': None, 'model': None})) == []
    for changes in (
        {'type': 'CocoPanopticDataset'},
        {'type': 'VOCDataset'},
        {'data_root': 's3://bucket/coco/'},
        {'backend_args': {'backend': 'petrel'}},
    ):
        assert check_datasets(config(tmp_path, **changes)) == []
    with pytest.raises(KeyError, match='CocoDatset'):
        check_datasets(config(tmp_path, type='CocoDatset'))


def test_a_data_set_that_makes_itself_is_made(tmp_path: Path) -> None:
    cfg = config(
        tmp_path / 'shapes',
        type='mmcds.ShapesDataset',
        ann_file='annotations/instances_train.json',
        data_prefix={'img': 'train/'},
        metainfo=None,
        make={'train': 3, 'val': 1, 'size': 64},
    )
    reports = check_datasets(cfg)
    assert 'num_classes=3 but the data set has 4 classes (circle, square' in message(reports[0])
    assert reports[0].num_images == 3
