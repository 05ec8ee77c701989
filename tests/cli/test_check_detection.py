"""What is said of annotation files and of configs that do not fit them."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from PIL import Image

from mmcds.cli.check_detection import check_coco, check_datasets
from mmcds.cli.coco_report import DatasetUse
from mmcds.cli.image_files import missing_files

Content = dict[str, Any]
TRAINING = DatasetUse(trains=True, drops_empty=True)


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
    report = findings(tmp_path, content, use=TRAINING)
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
    text = message(findings(tmp_path, content, ('cat', 'horse'), use=TRAINING))
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
    report = findings(tmp_path, content, use=TRAINING)
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
    assert 'no image is left' in message(findings(tmp_path, content, use=TRAINING))


def test_images_that_do_not_exist(tmp_path: Path, content: Content) -> None:
    path = write(tmp_path, content)
    (tmp_path / 'images' / '1.jpg').unlink()
    report = check_coco(path, tmp_path / 'images')
    report.raise_errors()
    assert "1 of 3 images looked for do not exist (first: '1.jpg')" in report.summary()
    text = message(check_coco(path, tmp_path / 'imgs'), FileNotFoundError)
    assert 'none of 3' in text
    assert 'images/' in text


def test_every_file_is_looked_for(tmp_path: Path, content: Content) -> None:
    content['images'] = [{**content['images'][0], 'id': i, 'file_name': f'{i}.jpg'} for i in range(1500)]
    path = write(tmp_path, content)
    for i in range(1500):
        (tmp_path / 'images' / f'{i}.jpg').touch()
    for i in (7, 1400):
        (tmp_path / 'images' / f'{i}.jpg').unlink()
    assert (
        "2 of 1500 images looked for do not exist (first: '7.jpg')" in check_coco(path, tmp_path / 'images').summary()
    )


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


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'iscrowd': 1}, '3 are crowds'),
        ({'ignore': 1}, '3 are marked to be ignored'),
        ({'area': 0}, '3 are without area (write area = width x height)'),
        ({'bbox': [200, 200, 9, 9]}, '3 are outside their image'),
        ({'bbox': [1, 1, 9, 0.2]}, '3 are under a pixel'),
    ],
)
def test_a_training_set_without_a_usable_box_says_why(
    tmp_path: Path, content: Content, change: dict[str, Any], reason: str
) -> None:
    for annotation in content['annotations']:
        annotation.update(change)
    report = findings(tmp_path, content, use=TRAINING)
    text = message(report)
    assert 'has no box that mmdet would use: of 3 boxes ' + reason in text
    dataset = CocoDataset(
        ann_file=report.ann_file,
        metainfo={'classes': ('cat', 'dog', 'cow')},
        data_prefix={'img': ''},
        filter_cfg={'filter_empty_gt': True},
    )
    kept = [each['ignore_flag'] for i in range(len(dataset)) for each in dataset.get_data_info(i)['instances']]
    assert len(dataset) == 3  # mmdet trains all the same, on nothing
    assert 0 not in kept
    # Without filter_cfg as well.
    assert reason in message(findings(tmp_path, content, use=DatasetUse(trains=True)))
    # One usable box is enough, and an evaluation needs none.
    findings(tmp_path, content, use=DatasetUse(evaluates=True)).raise_errors()
    content['annotations'][0].update(bbox=[1, 1, 9, 9], area=81, iscrowd=0, ignore=0)
    findings(tmp_path, content, use=TRAINING).raise_errors()


def test_background_images_alone_are_left_to_the_user(tmp_path: Path, content: Content) -> None:
    del content['annotations']
    report = findings(tmp_path, content, use=DatasetUse(trains=True))
    report.raise_errors()
    assert '3 images without a box (kept as background)' in report.summary()
    report = findings(tmp_path, content, use=TRAINING)
    assert 'has no box that mmdet would use, so no image is left' in message(report)


def test_images_that_min_size_drops_are_counted(tmp_path: Path, content: Content) -> None:
    content['images'][0]['height'] = 30
    report = findings(tmp_path, content, use=DatasetUse(trains=True, drops_empty=True, min_size=32))
    report.raise_errors()
    assert '1 images with a side under filter_cfg.min_size=32 (dropped)' in report.summary()
    text = message(findings(tmp_path, content, use=DatasetUse(trains=True, drops_empty=True, min_size=81)))
    assert 'no image is left to train on: 3 of 3 images have a side under filter_cfg.min_size=81; lower' in text
    content['annotations'] = content['annotations'][:1]
    text = message(findings(tmp_path, content, use=DatasetUse(trains=True, drops_empty=True, min_size=32)))
    assert '1 of 3 images have a side under filter_cfg.min_size=32, 2 have no box; lower' in text


def test_only_images_that_are_used_are_looked_for(tmp_path: Path, content: Content) -> None:
    path = write(tmp_path, content)
    (tmp_path / 'images' / '2.jpg').unlink()
    look: dict[str, Any] = {'img_prefix': tmp_path / 'images', 'classes': ('cat', 'dog', 'cow')}
    text = message(check_coco(path, use=DatasetUse(evaluates=True), **look), FileNotFoundError)
    assert f"1 of 3 images looked for do not exist (first: '2.jpg'), looked for as '{tmp_path}/images/2.jpg'" in text
    for used in ({'indices': 2}, {'indices': [0, 1]}, {'loader': None}):
        report = check_coco(path, use=DatasetUse(evaluates=True, **used), **look)
        report.raise_errors()
        assert report.summary() == ''
    assert '1 of 1' not in check_coco(path, use=DatasetUse(trains=True, indices=-2), **look).summary()
    assert '1 of 2 images' in check_coco(path, use=DatasetUse(trains=True, indices=-2), **look).summary()


@pytest.mark.parametrize(
    ('part', 'key', 'value', 'expected'),
    [
        ('annotations', 'bbox', ['10', '10', '20', '20'], 'write the numbers without quotes'),
        ('annotations', 'bbox', [10, 10, 20, '20'], 'write the numbers without quotes'),
        ('annotations', 'area', '400', "area that is not a number (first: id 2, area='400'); write a number, without"),
        ('annotations', 'iscrowd', '0', "iscrowd that is not a number, 0 or 1 (first: id 2, iscrowd='0')"),
        ('annotations', 'image_id', '1', "first: annotation 2, image_id='1', while images have id=1"),
        ('annotations', 'category_id', '2', "first: annotation 2, category_id='2', while categories have id=2"),
        ('annotations', 'id', None, 'id that is not a number'),
        ('annotations', 'image_id', [1], 'image_id that is not a number'),
        ('images', 'width', '100', "width that is not a number (first: id 1, width='100'); write a number, without"),
        ('images', 'height', None, 'height that is not a number (first: id 1, height=None); write a number'),
        ('images', 'file_name', 7, 'file_name that is not a string'),
        ('categories', 'name', ['dog'], 'name that is not a string'),
    ],
)
def test_a_field_of_another_type_is_one_line(
    tmp_path: Path, content: Content, part: str, key: str, value: object, expected: str
) -> None:
    content[part][1][key] = value
    text = message(findings(tmp_path, content))
    assert expected in text
    assert '1 ' in text
    assert 'train.json' in text


def test_entries_that_are_no_objects(tmp_path: Path, content: Content) -> None:
    content['images'][1] = 'a.jpg'
    assert '1 of 3 images in' in message(findings(tmp_path, content))


def test_ids_may_be_strings_everywhere(tmp_path: Path, content: Content) -> None:
    for image in content['images']:
        image['id'] = f'img{image["id"]}'
    for annotation in content['annotations']:
        annotation['image_id'] = f'img{annotation["image_id"]}'
    report = findings(tmp_path, content, use=TRAINING)
    report.raise_errors()
    assert report.summary() == ''
    assert used_by_mmdet(Path(report.ann_file), tmp_path) == [1, 1, 1]


@pytest.mark.parametrize(('encoding', 'named'), [('utf-8-sig', 'utf-8-sig'), ('utf-16', 'utf-16')])
def test_a_byte_order_mark_is_named(tmp_path: Path, content: Content, encoding: str, named: str) -> None:
    path = write(tmp_path, content)
    path.write_text(json.dumps(content), encoding=encoding)
    with pytest.raises(ValueError, match=r'BOM|utf-8'):  # pycocotools' own words
        CocoDataset(ann_file=str(path), data_prefix={'img': ''})
    text = message(check_coco(path, tmp_path / 'images'))
    assert f'is encoded as {named}' in text
    assert 'save it as UTF-8 without a byte order mark' in text


def test_file_names_of_several_images_are_counted(tmp_path: Path, content: Content) -> None:
    content['images'][2]['file_name'] = '0.jpg'
    report = findings(tmp_path, content)
    report.raise_errors()
    assert "1 file names of several images (first: '0.jpg'), each trained on with its own boxes" in report.summary()


SQUARE = [[1, 1, 9, 1, 9, 9, 1, 9]]
RLE = {'size': [80, 100], 'counts': 'abc'}


def with_segmentations(content: Content, *segmentations: object) -> Content:
    for annotation, each in zip(content['annotations'], segmentations, strict=True):
        annotation['segmentation'] = each
    return content


def test_masks_need_segmentations(tmp_path: Path, content: Content) -> None:
    masks = DatasetUse(trains=True, loads_masks=True)
    findings(tmp_path, with_segmentations(content, SQUARE, RLE, SQUARE), use=masks).raise_errors()
    nothing: tuple[Any, ...] = ([], None)
    for missing in nothing:
        text = message(findings(tmp_path, with_segmentations(content, SQUARE, missing, SQUARE), use=masks))
        assert '1 of 3 annotations in' in text
        assert 'have no segmentation (first: annotation 2), which the pipeline (with_mask=True) needs; add' in text
    findings(tmp_path, content, use=DatasetUse(trains=True)).raise_errors()
    content['annotations'][1]['area'] = 0  # mmdet skips it before it looks for the mask
    findings(tmp_path, content, use=masks).raise_errors()
    evaluated = DatasetUse(evaluates=True, evaluator_needs=('segmentation',))
    assert 'which the evaluator needs' in message(findings(tmp_path, content, use=evaluated))
    for malformed in ([1, 1, 9, 1, 9, 9], [['1', '1', '9', '1', '9', '9']], 'abc'):
        text = message(findings(tmp_path, with_segmentations(content, SQUARE, SQUARE, malformed), use=masks))
        assert 'neither RLE nor a list of polygons' in text


def test_segmentations_that_mmdet_passes_over_are_no_training_boxes(tmp_path: Path, content: Content) -> None:
    from mmdet.datasets.transforms import LoadAnnotations

    with_segmentations(content, [[1, 1, 9, 9]], RLE, SQUARE)
    polygons = DatasetUse(trains=True, loads_masks=True, polygons_only=True)
    report = findings(tmp_path, content, use=polygons)
    report.raise_errors()
    assert '2 boxes without a segmentation that the pipeline reads' in report.summary()
    dataset = CocoDataset(
        ann_file=report.ann_file, metainfo={'classes': ('cat', 'dog', 'cow')}, data_prefix={'img': ''}
    )
    load = LoadAnnotations(with_bbox=True, with_mask=True, poly2mask=False)
    ignored = [load({**dataset.get_data_info(i), 'ori_shape': (80, 100)})['gt_ignore_flags'].sum() for i in range(3)]
    assert ignored == [1, 1, 0]
    with_segmentations(content, RLE, RLE, RLE)
    assert '3 are without a segmentation that the pipeline reads' in message(findings(tmp_path, content, use=polygons))


def test_a_config_s_use_of_its_data_is_read_from_it(tmp_path: Path, content: Content) -> None:
    masks = [
        {'type': 'LoadImageFromFile', 'color_type': 'color_ignore_orientation'},
        {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True, 'poly2mask': False},
    ]
    write(tmp_path, with_segmentations(content, SQUARE, [], SQUARE))
    cfg = config(tmp_path, pipeline=masks)
    reports = check_datasets(cfg)
    assert 'with_mask=True' in message(reports[0])
    assert 'with_mask=True' in message(reports[-1])
    cfg = config(tmp_path)
    assert not any(report.errors for report in check_datasets(cfg))
    cfg.val_evaluator.metric = ['bbox', 'segm']
    assert 'which the evaluator needs' in message(check_datasets(cfg)[-1])
    cfg.val_evaluator = [{'type': 'CocoMetric', 'ann_file': str(tmp_path / 'train.json')}]
    del content['annotations'][0]['iscrowd']
    write(tmp_path, content)
    assert "have no iscrowd (first: annotation 1), which the evaluator needs; write 'iscrowd': 0" in message(
        check_datasets(cfg)[-1]
    )
    cfg.val_evaluator[0].type = 'mmcds.FasterCocoMetric'
    assert not any(report.errors for report in check_datasets(cfg))
    cfg = config(tmp_path, filter_cfg={'filter_empty_gt': True, 'min_size': 200})
    assert 'filter_cfg.min_size=200' in message(check_datasets(cfg)[0])


def test_missing_images_are_fatal_where_a_model_is_evaluated(tmp_path: Path, content: Content) -> None:
    write(tmp_path, content)
    (tmp_path / 'images' / '1.jpg').unlink()
    cfg = config(tmp_path, pipeline=[{'type': 'mmcds.LoadImageOrSkip'}])
    cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
    reports = check_datasets(cfg)
    reports[0].raise_errors()
    assert "1 of 3 images looked for do not exist (first: '1.jpg')" in reports[0].summary()
    assert 'evaluation stops at a missing image' in message(reports[-1], FileNotFoundError)
    (report,) = check_datasets(cfg, ['test_dataloader'])
    assert 'evaluation stops at a missing image' in message(report, FileNotFoundError)
    assert report.name == 'test_dataloader.dataset'


@pytest.mark.parametrize(
    'pipeline',
    [
        [{'type': 'LoadImageFromFile', 'backend_args': {'backend': 'zipfile', 'path': 'a.zip'}}],
        [{'type': 'LoadImageFromFile', 'file_client_args': {'backend': 'petrel'}}],
        [{'type': 'MultiBranch', 'sup': [{'type': 'LoadImageFromFile', 'backend_args': {'backend': 'lmdb'}}]}],
        [{'type': 'LoadFromSomewhereElse'}],
        [],
    ],
)
def test_images_that_only_the_pipeline_finds_are_not_looked_for(
    tmp_path: Path, content: Content, pipeline: list[dict[str, Any]]
) -> None:
    write(tmp_path, content)
    for i in range(3):
        (tmp_path / 'images' / f'{i}.jpg').unlink()
    assert not any(report.errors or report.summary() for report in check_datasets(config(tmp_path, pipeline=pipeline)))
    local = [{'type': 'LoadImageFromFile', 'backend_args': {'backend': 'local'}}]
    assert 'none of 3 images' in message(check_datasets(config(tmp_path, pipeline=local))[0], FileNotFoundError)


@pytest.mark.parametrize('color_type', ['color', 'color_ignore_orientation'])
def test_images_that_exif_turns_are_named_before_training(tmp_path: Path, content: Content, color_type: str) -> None:
    write(tmp_path, content)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (100, 80)).save(tmp_path / 'images' / '1.jpg', exif=exif)
    cfg = config(tmp_path, pipeline=[{'type': 'LoadImageFromFile', 'color_type': color_type}])
    for report in check_datasets(cfg):
        report.raise_errors()
        assert report.summary().count('another size than annotated') == (color_type == 'color')
        if color_type == 'color':
            assert '1 of 3 images looked into have' in report.summary()
            assert f"first: '{tmp_path}/images/1.jpg', 80x100 when decoded, 100x80 in the file" in report.summary()
            assert "color_type='color_ignore_orientation'" in report.summary()


def test_many_files_in_links_and_folders_are_found(tmp_path: Path) -> None:
    names = [f'{i}.jpg' for i in range(150)]
    (tmp_path / 'a').mkdir()
    for name in names:
        (tmp_path / 'a' / name).touch()
    (tmp_path / 'a' / '3.jpg').unlink()
    (tmp_path / 'a' / '3.jpg').symlink_to(tmp_path / 'a' / '4.jpg')
    (tmp_path / 'a' / '5.jpg').unlink()
    (tmp_path / 'a' / '5.jpg').symlink_to(tmp_path / 'gone.jpg')
    (tmp_path / 'a' / '6.jpg').unlink()
    (tmp_path / 'a' / '6.jpg').mkdir()
    paths = [str(tmp_path / 'a' / name) for name in names]
    assert missing_files(paths) == [str(tmp_path / 'a' / name) for name in ('5.jpg', '6.jpg')]
    absent = [str(tmp_path / 'b' / name) for name in names]
    assert missing_files([*absent, paths[0], str(tmp_path / 'a' / '..' / 'a' / '0.jpg')]) == absent


def test_a_training_whose_images_would_all_be_skipped_is_refused(tmp_path: Path, content: Content) -> None:
    path = write(tmp_path, content)
    content['images'] = [{**image, 'width': 200} for image in content['images']]
    for image, annotation in zip(content['images'], content['annotations'], strict=True):
        annotation['bbox'] = [90, 10, 60, 20]
        Image.new('RGB', (100, 80)).save(tmp_path / 'images' / image['file_name'])
    path.write_text(json.dumps(content))
    look: dict[str, Any] = {'img_prefix': tmp_path / 'images', 'classes': ('cat', 'dog', 'cow')}
    text = message(check_coco(path, use=TRAINING, **look))
    assert 'the boxes of all 3 images looked into do not fit the decoded image' in text
    assert 'write the decoded width and height into the annotation file' in text
    report = check_coco(path, use=DatasetUse(evaluates=True), **look)
    report.raise_errors()
    assert '3 of 3 images looked into have another size' in report.summary()
    content['annotations'][0]['bbox'] = [10, 10, 20, 20]
    path.write_text(json.dumps(content))
    check_coco(path, use=TRAINING, **look).raise_errors()


def test_ids_that_falsify_or_stop_an_evaluation(tmp_path: Path, content: Content) -> None:
    """Perfect detections by mmdet's own metric: AP 1, unless an annotation has the id 0."""
    from mmdet.evaluation.metrics import CocoMetric

    def perfect(path: str) -> float:
        metric = CocoMetric(ann_file=path, metric='bbox')
        metric.dataset_meta = {'classes': ('cat', 'dog', 'cow')}
        for annotation in content['annotations']:
            x, y, w, h = annotation['bbox']
            found = {
                'bboxes': torch.tensor([[x, y, x + w, y + h]], dtype=torch.float32),
                'scores': torch.ones(1),
                'labels': torch.tensor([int(annotation['category_id']) - 1]),
            }
            metric.process({}, [{'img_id': annotation['image_id'], 'ori_shape': (80, 100), 'pred_instances': found}])
        return float(metric.evaluate(3)['coco/bbox_mAP'])

    evaluated = DatasetUse(evaluates=True)
    report = findings(tmp_path, content, use=evaluated)
    report.raise_errors()
    assert report.summary() == ''
    assert perfect(report.ann_file) == 1
    content['annotations'][0]['id'] = 0
    report = findings(tmp_path, content, use=evaluated)
    report.raise_errors()
    assert '1 annotations with the id 0, which COCO evaluation counts as not found' in report.summary()
    assert perfect(report.ann_file) < 0.7
    assert findings(tmp_path, content, use=TRAINING).summary() == ''
    by_pycocotools = DatasetUse(evaluates=True, evaluator_needs=('iscrowd',))
    content['annotations'][0]['id'] = '7'  # it takes a number in quotes
    findings(tmp_path, content, use=by_pycocotools).raise_errors()
    assert perfect(report.ann_file) == 1
    content['annotations'][0]['id'] = 'a1'
    findings(tmp_path, content, use=evaluated).raise_errors()  # another metric
    text = message(findings(tmp_path, content, use=by_pycocotools))
    assert "have a id that is not a number, which the evaluation needs (first: id 'a1'" in text
    assert text.endswith('write a number, without quotes')
    findings(tmp_path, content, use=TRAINING).raise_errors()


def test_ids_that_are_strings_are_refused_by_the_faster_metric_only(tmp_path: Path, content: Content) -> None:
    for image in content['images']:
        image['id'] = f'img{image["id"]}'
    for annotation in content['annotations']:
        annotation['image_id'] = f'img{annotation["image_id"]}'
    findings(tmp_path, content, use=DatasetUse(evaluates=True)).raise_errors()
    text = message(findings(tmp_path, content, use=DatasetUse(evaluates=True, numbers_only=True)))
    assert 'a number, which FasterCocoMetric needs' in text


@pytest.mark.parametrize('first', [[], [10, 10], [10, 10, 20, 20]])
def test_a_polygon_of_one_or_two_points_stops_an_evaluation(tmp_path: Path, content: Content, first: list[int]) -> None:
    with_segmentations(content, SQUARE, [first], SQUARE)
    evaluated = DatasetUse(evaluates=True, evaluator_needs=('segmentation',))
    assert 'neither RLE nor a list of polygons' in message(findings(tmp_path, content, use=evaluated))


@pytest.mark.parametrize(
    ('classes', 'said'),
    [(4, 'classes=4 are no names; write a tuple'), (('cat', 'dog', 'cat'), "name 'cat' twice; name each class once")],
)
def test_classes_that_are_no_names(tmp_path: Path, content: Content, classes: Any, said: str) -> None:
    assert said in message(findings(tmp_path, content, classes))


def test_the_unlabelled_images_of_a_fraction_are_looked_for(tmp_path: Path, content: Content) -> None:
    cfg = config(tmp_path)
    write(tmp_path, content)
    part = cfg.train_dataloader.dataset
    other = dict(type='CocoDataset', ann_file=str(tmp_path / 'nope.json'), data_prefix=dict(img='x/'), pipeline=[])
    cfg.train_dataloader.dataset = dict(type='mmcds.LabelledFraction', dataset=part, unlabelled=other)
    (report,) = [each for each in check_datasets(cfg) if each.errors]
    assert report.name == 'train_dataloader.dataset.unlabelled'
    assert 'nope.json' in message(report, FileNotFoundError)
    # Their labels are not used, so their categories may be any.
    file = tmp_path / 'other.json'
    other = {**part.dataset.datasets[0], 'ann_file': str(file), 'filter_cfg': {}}
    for categories in ([], [dict(id=1, name='thing')], content['categories'][::-1]):
        file.write_text(json.dumps({**content, 'annotations': [], 'categories': categories}))
        cfg.train_dataloader.dataset.unlabelled = other
        assert not [each for each in check_datasets(cfg) if each.errors]
