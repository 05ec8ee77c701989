"""One training step of one config of families that the installed mmdet ships.

Walked here is one of each kind of model, and what is refused or cannot step; benchmarks/families/run.py walks all.
"""

from importlib.util import find_spec

import pytest

from benchmarks.families import FamilyResult, list_families, shrink, toy_inputs, walk_family
from benchmarks.families.choose import family_of, rank
from benchmarks.families.explain import explain
from benchmarks.families.page import families_page, summary
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
    '_base_': 'holds parts that other configs inherit',
    'carafe': 'needs a GPU: mmcv has no carafe',
    'common': 'holds parts that other configs inherit',
    'deepsort': 'has no training step',
}
#: Families that add_cds refuses, with a part of the reason.
REFUSED = {
    'bytetrack': 'it feeds a detector of its own, model.detector (YOLOX)',
    'mask2former_vis': 'it trains on videos',
    'masktrack_rcnn': 'it feeds a detector of its own, model.detector (MaskRCNN)',
    'ocsort': 'it feeds a detector of its own, model.detector (YOLOX)',
    'qdtrack': 'it feeds a detector of its own, model.detector (FasterRCNN)',
    'reid': 'it trains on groups of crops',
    'soft_teacher': 'it feeds a detector of its own, model.detector (FasterRCNN)',
}
#: Each has something that no other one here has: a backbone called twice, corner pooling, queries, masks, ...
KINDS = (
    'boxinst', 'cascade_rcnn', 'centernet', 'clrnet', 'cornernet', 'crowddet', 'deformable_detr', 'detectors', 'dino',
    'grid_rcnn', 'hrnet', 'htc', 'mask2former', 'nas_fpn', 'panoptic_fpn', 'pvt', 'queryinst', 'reppoints', 'resnest',
    'rtmdet', 'solo', 'sparse_rcnn', 'swin', 'tridentnet', 'yolact', 'yolo',
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


def test_every_named_family_is_shipped() -> None:
    # clrnet is not in every release of mmdet.
    assert {*QUICK, *PACKAGES, *NO_STEP, *REFUSED, *KINDS} <= SHIPPED | {'clrnet'}


def test_unknown_family_is_named() -> None:
    with pytest.raises(ValueError, match=r"family='retina' is not among those mmdet ships; valid: .*retinanet"):
        walk_family('retina')


def test_the_lightest_config_stands_for_a_family() -> None:
    names = ['faster-rcnn_r101_fpn', 'mask-rcnn_r50_fpn', 'faster-rcnn_r50_fpn', 'faster-rcnn_x101-32x4d_fpn']
    assert sorted(names, key=lambda stem: rank('any', stem))[0] == 'faster-rcnn_r50_fpn'
    # What a folder is about comes before what is light.
    assert rank('nas_fpn', 'retinanet_r50_nasfpn') < rank('nas_fpn', 'retinanet_r50_fpn')
    assert rank('dcn', 'faster-rcnn_r101-dconv_fpn') < rank('dcn', 'faster-rcnn_r50_fpn')


def test_shrink_leaves_no_download() -> None:
    from mmcds.config.load_config import load_config

    for name in ('ld', 'ssd', 'soft_teacher'):
        model = shrink(load_config(family_of(name).config)).model
        assert not [text for text in _strings(dict(model)) if '://' in text]


def test_toy_inputs_are_what_the_preprocessor_wants() -> None:
    boxes = toy_inputs(dict(data_preprocessor=dict(type='DetDataPreprocessor'), num_classes=3))
    assert [tuple(image.shape) for image in boxes['inputs']] == [(3, 128, 128), (3, 96, 128)]
    assert [len(sample.gt_instances) for sample in boxes['data_samples']] == [4, 3]
    assert 'masks' not in boxes['data_samples'][0].gt_instances
    videos = toy_inputs(dict(data_preprocessor=dict(type='TrackDataPreprocessor', pad_mask=True)))
    assert tuple(videos['inputs'][0].shape) == (2, 3, 128, 128)
    assert 'masks' in videos['data_samples'][0][0].gt_instances


def test_explain_names_packages_and_downloads() -> None:
    error = RuntimeError('transformers is not installed, please install it by: pip install transformers.')
    language = dict(language_model=dict(name='bert-base-uncased'))
    assert explain(error) == 'needs the optional package transformers'
    assert explain(error, language).endswith('and the download of bert-base-uncased')
    assert explain(TypeError('a\nb')) == 'TypeError: a b'


def test_page_counts_and_lists() -> None:
    results = [
        FamilyResult('a', 'mmdet::a/x.py', WORKS, WORKS, ('backbone.3',), 1.0),
        FamilyResult('b', 'mmdet::b/y.py', WORKS, 'refused: a | b', (), 2.0),
        FamilyResult('c', 'mmdet::c/z.py', 'needs', '-', (), 0.0),
        FamilyResult('d', '', 'holds parts', '-', (), 0.0),
    ]
    page = families_page(results, ['a'], 3.0, 2)
    assert '| b | y | works | refused: a \\| b |  | 2.0 |' in page
    assert 'Written by `python benchmarks/families/run.py a`' in page
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
