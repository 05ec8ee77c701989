"""One training step of one config of families that mmdet, mmrotate, mmseg and mmyolo ship.

Walked here is one of each kind of model, and what is refused or cannot step; benchmarks/families/run.py walks all.
"""

from importlib.util import find_spec

import pytest
import torch
from torch import nn

from benchmarks.families import FamilyResult, choose, list_families, shrink, toy_inputs, walk_family
from benchmarks.families import page as page_module
from benchmarks.families.choose import family_of, package_of, rank
from benchmarks.families.explain import explain
from benchmarks.families.page import families_page, summary
from benchmarks.families.run import chosen
from benchmarks.families.step import CONTRAST, Step, StepError, check_step, contrast_parameters
from benchmarks.families.walk import WORKS

#: Seconds each: without a neck, with a list of necks, with one output, transformers, anchors and none.
QUICK = ('detr', 'fcos', 'faster_rcnn', 'libra_rcnn', 'maskformer', 'retinanet', 'ssd', 'yolox')
#: Optional packages without which the stock model cannot be built.
PACKAGES = {
    'glip': 'transformers',
    'grounding_dino': 'transformers',
    'misc': 'detectron2',
    'mm_grounding_dino': 'transformers',
    'timm_example': 'timm',
}
#: Families whose stock model takes no step on a CPU, with a part of the reason.
NO_STEP = {
    '_base_': 'none of its configs has a model',
    'carafe': 'needs a GPU: mmcv has no carafe',
    'common': 'none of its configs has a model',
    'deepsort': 'has no training step',
}
#: Families that add_cds refuses, with a part of the reason.
REFUSED = {
    'mask2former_vis': 'it trains on videos',
    'qdtrack': 'it trains on clips of frames',
    'reid': 'it trains on groups of crops',
}
#: Each has something that no other one here has: corner pooling, queries, masks, a student and a teacher, ...
KINDS = (
    'boxinst', 'bytetrack', 'cascade_rcnn', 'centernet', 'clrnet', 'cornernet', 'deformable_detr', 'dino',
    'mask2former', 'pvt', 'rtmdet', 'soft_teacher', 'sparse_rcnn', 'tridentnet', 'yolact', 'yolo',
)  # fmt: skip
#: Seconds each, of the packages around mmdet: rotated boxes and quadrilaterals, a backbone that gets crops; mmyolo's
#: dict with images as a tensor and as a list, with masks, and its data samples; maps of edges; backbones with more maps
#: in training.
OTHERS = (
    'mmrotate/gliding_vertex', 'mmrotate/h2rbox_v2', 'mmrotate/s2anet', 'mmseg/bisenetv2', 'mmseg/pidnet',
    'mmseg/segformer', 'mmyolo/ppyoloe', 'mmyolo/yolov5/crowdhuman', 'mmyolo/yolov5/ins_seg', 'mmyolo/yolox',
)  # fmt: skip
SHIPPED = {family.name for family in list_families()}
FAMILIES = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])
    for name in sorted(SHIPPED & {*QUICK, *PACKAGES, *NO_STEP, *REFUSED, *KINDS})
]


@pytest.mark.parametrize('name', FAMILIES)
def test_family(name: str) -> None:
    package = PACKAGES.get(name)
    result = walk_family(name)
    if package and find_spec(package) is None:
        assert result.stock.lower().startswith(f'needs the optional package {package}')
    elif package:
        pytest.skip(f'{package} is installed: whether its weights are, too, is not known')
    elif name in NO_STEP:
        assert NO_STEP[name] in result.stock
    else:
        assert result.stock == WORKS
        if name in REFUSED:
            assert result.cds.startswith('refused: ')
            assert REFUSED[name] in result.cds
        else:
            assert result.cds == WORKS
            assert result.taps


@pytest.mark.parametrize('name', OTHERS)
def test_family_of_another_package(name: str) -> None:
    pytest.importorskip(package_of(name))
    result = walk_family(name)
    assert result.family == name
    assert result.stock == WORKS
    assert result.cds == WORKS
    assert result.taps


def test_every_named_family_is_shipped() -> None:
    # clrnet is not in every release of mmdet.
    assert {*QUICK, *PACKAGES, *NO_STEP, *REFUSED, *KINDS} <= SHIPPED | {'clrnet'}


def test_unknown_family_is_named() -> None:
    with pytest.raises(ValueError, match=r"^family='retina' is not known; nearest: retinanet.* the configs of mmdet$"):
        walk_family('retina')
    with pytest.raises(ValueError, match=r"^config='mmrotate::\.\.\.'|^family='fcos' .*of the configs of mmrotate$"):
        walk_family('mmrotate/fcos')


def test_names_and_packages_that_the_command_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, 'installed_packages', lambda: ('mmdet',))
    assert chosen([], None) == [family.name for family in list_families()]
    assert chosen(['retinanet', 'mmdet/fcos'], None) == ['retinanet', 'fcos']
    with pytest.raises(ValueError, match=r"^--package='mmdet3d' is not known; .*valid: mmdet, mmrotate, mmseg, mmyolo"):
        chosen([], ['mmdet3d'])
    with pytest.raises(ValueError, match=r'^--package=.* are given; give one of them$'):
        chosen(['fcos'], ['mmdet'])


def test_the_lightest_config_stands_for_a_family() -> None:
    names = ['faster-rcnn_r101_fpn', 'mask-rcnn_r50_fpn', 'faster-rcnn_r50_fpn', 'faster-rcnn_x101-32x4d_fpn']
    assert sorted(names, key=lambda stem: rank('any', stem))[0] == 'faster-rcnn_r50_fpn'
    # What a folder is about comes before what is light.
    assert rank('nas_fpn', 'retinanet_r50_nasfpn') < rank('nas_fpn', 'retinanet_r50_fpn')
    assert rank('dcn', 'faster-rcnn_r101-dconv_fpn') < rank('dcn', 'faster-rcnn_r50_fpn')
    # The word of a size, the smaller images, and the loss that a CPU can compute.
    assert rank('yolov8', 'yolov8_n_fast') < rank('yolov8', 'yolov8_s_fast') < rank('yolov8', 'yolov8_x_fast')
    assert rank('fcn', 'fcn_r18-d8_512x512') < rank('fcn', 'fcn_r18-d8_769x769') < rank('fcn', 'fcn_r50-d8_512x512')
    names = ['rotated-fcos-le90_r50', 'rotated-fcos-hbox-le90_r50']
    assert min(names, key=lambda stem: rank('rotated_fcos', stem, 'mmrotate')) == names[1]


def test_shrink_leaves_no_download() -> None:
    from mmcds.config.load_config import load_config

    for name in ('ld', 'ssd', 'soft_teacher'):
        model = shrink(load_config(family_of(name).config)).model
        assert not [text for text in _strings(dict(model)) if '://' in text]


def test_toy_inputs_are_what_the_preprocessor_wants() -> None:
    boxes = toy_inputs(dict(model=dict(data_preprocessor=dict(type='DetDataPreprocessor'), num_classes=3)))
    assert [tuple(image.shape) for image in boxes['inputs']] == [(3, 128, 128), (3, 96, 128)]
    assert [len(sample.gt_instances) for sample in boxes['data_samples']] == [4, 3]
    assert 'masks' not in boxes['data_samples'][0].gt_instances
    videos = toy_inputs(dict(model=dict(data_preprocessor=dict(type='TrackDataPreprocessor', pad_mask=True))))
    assert tuple(videos['inputs'][0].shape) == (2, 3, 128, 128)
    assert 'masks' in videos['data_samples'][0][0].gt_instances


def test_toy_boxes_have_the_type_of_the_pipeline() -> None:
    bbox = pytest.importorskip('mmrotate.structures.bbox')
    load = dict(type='mmdet.LoadAnnotations', box_type='qbox')
    convert = dict(type='ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox'))
    model = dict(data_preprocessor=dict(type='mmdet.DetDataPreprocessor'), num_classes=3)
    for pipeline, kind in (([load], bbox.QuadriBoxes), ([load, convert], bbox.RotatedBoxes)):
        sample = toy_inputs(dict(model=model, train_dataloader=dict(dataset=dict(pipeline=pipeline))))['data_samples'][
            0
        ]
        assert isinstance(sample.gt_instances.bboxes, kind)
        # Upright boxes around them stay in the image.
        around = sample.gt_instances.bboxes.convert_to('hbox').tensor
        assert len(around) == 4
        assert around.min() > -20
        assert around.max() < 148


def test_toy_inputs_of_mmyolo_are_collated() -> None:
    pytest.importorskip('mmyolo')
    model = dict(data_preprocessor=dict(type='YOLOv5DetDataPreprocessor'), num_classes=3, num_keypoints=5)
    for as_list in (False, True):
        collate = dict(type='yolov5_collate', use_ms_training=as_list)
        batch = toy_inputs(dict(model=model, train_dataloader=dict(collate_fn=collate)))
        assert isinstance(batch['inputs'], list) is as_list
        assert [tuple(image.shape) for image in batch['inputs']] == [(3, 128, 128)] * 2
        assert batch['data_samples']['bboxes_labels'][:, 0].tolist() == [0] * 4 + [1] * 3
        assert tuple(batch['data_samples']['keypoints'].shape) == (7, 5, 2)


def test_keys_of_the_contrast_in_an_inner_detector() -> None:
    assert all(map(CONTRAST.match, ['neck.cds.a', 'student.neck.cds.a', 'teacher.neck.cds.a', 'detector.neck.cds.a']))
    assert not any(map(CONTRAST.match, ['neck.a', 'backbone.neck.cds.a', 'student.neck.a']))
    model = nn.ModuleDict(
        {name: nn.ModuleDict({'neck': nn.ModuleDict({'cds': nn.Linear(1, 1)})}) for name in ('student', 'teacher')}
    )
    assert contrast_parameters(model) == {'student.neck.cds.weight', 'student.neck.cds.bias'}
    loss = {'loss_cds_a': [torch.ones(())]}
    stock, cds = Step({}, set(), {}), Step(loss, {'teacher.neck.cds.weight'}, {})
    with pytest.raises(StepError, match=r"^parameters of the teacher with a gradient: \['teacher\.neck"):
        check_step(stock, cds, set())


def test_explain_names_packages_and_downloads() -> None:
    error = RuntimeError('transformers is not installed, please install it by: pip install transformers.')
    language = dict(language_model=dict(name='bert-base-uncased'))
    assert explain(error) == 'needs the optional package transformers'
    assert explain(error, language).endswith('and the download of bert-base-uncased')
    assert explain(TypeError('a\nb')) == 'TypeError: a b'
    hint = ImportError('Please install e2cnn by "pip install -e git+https://github.com/QUVA-Lab/e2cnn.git#egg=e2cnn"')
    assert explain(hint) == 'needs the optional package e2cnn'
    assert explain(KeyError('X is not in the y registry'), dict(_scope_='mmnothing')).endswith('package mmnothing')


def test_page_counts_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    results = [
        FamilyResult('a', 'mmdet::a/x.py', WORKS, WORKS, ('backbone.3',), 1.0),
        FamilyResult('b', 'mmdet::b/y.py', WORKS, 'refused: a | b', (), 2.0),
        FamilyResult('c', 'mmdet::c/z.py', 'needs', '-', (), 0.0),
        FamilyResult('d', '', 'holds parts', '-', (), 0.0),
    ]
    other = FamilyResult('mmyolo/e/f', 'mmyolo::e/f/g.py', WORKS, 'fails: x', (), 1.0)
    monkeypatch.setattr(page_module, 'distribution', lambda package: f'{package} 9')
    page = families_page([*results, other], ['a'], 3.0, 2)
    assert '| b | y | works | refused: a \\| b |  | 2.0 |' in page
    assert 'Written by `python benchmarks/families/run.py a`: mmdet 9, mmyolo 9, torch' in page
    assert [line for line in page.splitlines() if line.startswith('## ')] == ['## mmdet', '## mmyolo']
    assert '| e/f | g | works | fails: x |  | 1.0 |' in page
    assert '- CDS works: 0; refused: 0; fails: 1 (e/f)' in page
    assert summary(results) == [
        'folders: 4, with a model of their own: 3',
        'the stock model takes its step: 2; it does not: 1 (c)',
        'CDS works: 1; refused: 1 (b); fails: 0',
    ]


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _strings(each)]
    if isinstance(value, (list, tuple)):
        return [text for each in value for text in _strings(each)]
    return [value] if isinstance(value, str) else []
