"""A part of the labels: which, how many, kept in a file, and nothing of the others in what is handed out."""

import json
import logging
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import RepeatDataset, pseudo_collate
from mmengine.registry import DefaultScope
from torch.utils.data import ConcatDataset, Subset
from toys import CLASSES, build, total, toy_model

from mmcds import add_cds
from mmcds.datasets.labelled_fraction import LabelledFraction, check_labelled_fraction, choose_labelled
from mmcds.models import TwoViewForward
from mmcds.models.data_samples.sample_list import has_unlabelled

# --- the choice --------------------------------------------------------------------------------


@pytest.mark.parametrize(('sizes', 'fraction'), [((30, 30, 30), 0.1), ((50, 20, 10), 0.25), ((7, 5, 3), 0.4)])
def test_every_class_gives_its_share(sizes: tuple[int, ...], fraction: float) -> None:
    classes = [[label] for label, size in enumerate(sizes) for _ in range(size)]
    chosen = choose_labelled(classes, fraction, seed=0)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == round(fraction * sum(sizes))
    counts = Counter(classes[i][0] for i in chosen)
    for label, size in enumerate(sizes):
        assert abs(counts[label] - fraction * size) < 1, label


def test_no_class_is_left_out_while_there_are_places() -> None:
    """Nine classes take all ninety places by their shares; the tenth has four images."""
    classes = [[label] for label in range(9) for _ in range(100)] + [[9]] * 4
    counts = Counter(classes[i][0] for i in choose_labelled(classes, 0.1, seed=0))
    assert sum(counts.values()) == 90
    assert counts[9] == 1
    assert sorted(counts.values()) == [1, 9] + [10] * 8
    # With fewer places than classes there is one for each as far as they go.
    few = Counter(classes[i][0] for i in choose_labelled(classes, 0.005, seed=0))
    assert sorted(few.values()) == [1] * 5
    assert len(choose_labelled(classes, 1e-9, seed=0)) == 1
    assert choose_labelled(classes, 1.0, seed=0) == list(range(904))


def test_the_seed_decides_and_any_image_may_be_chosen() -> None:
    classes = [[i % 4] for i in range(80)]
    assert choose_labelled(classes, 0.1, 3) == choose_labelled(classes, 0.1, 3)
    drawn = {i for seed in range(100) for i in choose_labelled(classes, 0.1, seed)}
    assert drawn == set(range(80))


def test_an_image_with_several_classes_counts_for_its_rarest_and_one_with_none_for_none() -> None:
    """Class 1 is on ten images only, always beside class 0; as many are empty."""
    classes: list[list[int]] = [[0, 0, 1] if i < 10 else [] if i < 20 else [0] for i in range(100)]
    chosen = choose_labelled(classes, 0.1, 0)
    kinds = Counter(tuple(classes[i]) for i in chosen)
    assert kinds == {(0, 0, 1): 1, (): 1, (0,): 8}


# --- mmpretrain's data sets --------------------------------------------------------------------


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of ten images of 8x8 px, whose brightness is their number."""
    root = tmp_path_factory.mktemp('folders')
    for label in ('cat', 'dog'):
        (root / label).mkdir()
        for i in range(10):
            cv2.imwrite(str(root / label / f'{i}.png'), np.full((8, 8, 3), i + 100 * (label == 'dog'), np.uint8))
    return root


PACK = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


def images(root: Path, pipeline: Any = None, **arguments: Any) -> LabelledFraction:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = dict(type='CustomDataset', data_root=str(root), pipeline=pipeline or PACK)
        return LabelledFraction(dataset, **arguments)


def is_labelled(data: dict[str, Any]) -> bool:
    return bool(data['data_samples'].metainfo.get('labelled', True))


def test_unlabelled_images_keep_their_place_and_lose_their_label(folder: Path) -> None:
    data = images(folder, fraction=0.2, seed=1)
    assert len(data) == 20
    assert data.metainfo['classes'] == ('cat', 'dog')
    items = [data[i] for i in range(20)]
    numbers = [int(item['inputs'][0, 0, 0]) for item in items]
    assert sorted(numbers) == [*range(10), *range(100, 110)]
    for i, (item, number) in enumerate(zip(items, numbers, strict=True)):
        assert is_labelled(item) == (i < 4)
        assert item['data_samples'].gt_label.tolist() == ([int(number >= 100)] if i < 4 else [])
        assert data.get_cat_ids(i) == ([int(number >= 100)] if i < 4 else [])
        assert data.get_data_info(i)['img_path'] == item['data_samples'].img_path
        assert 'gt_label' not in item['data_samples'].metainfo
    assert Counter(number >= 100 for number in numbers[:4]) == {True: 2, False: 2}


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [(dict(fraction=0.5), True), (dict(fraction=0.5, keep_unlabelled=False), False), (dict(fraction=1.0), False)],
)
def test_says_whether_images_are_unlabelled(folder: Path, arguments: dict[str, Any], expected: bool) -> None:
    """Before it reads one, and through wrappers."""
    found: Any = images(folder, lazy_init=True, **arguments)
    assert found.has_unlabelled is expected
    plain = found.datasets[0]
    assert has_unlabelled(Subset(ConcatDataset([plain, found]), [0])) is expected
    assert not has_unlabelled(plain)
    assert not has_unlabelled(None)


def test_the_baseline_has_the_labelled_ones_alone(folder: Path) -> None:
    whole, alone = images(folder, fraction=0.2), images(folder, fraction=0.2, keep_unlabelled=False)
    assert len(alone) == 4
    assert [alone[i]['data_samples'].img_path for i in range(4)] == [
        whole[i]['data_samples'].img_path for i in range(4)
    ]
    assert all(is_labelled(alone[i]) for i in range(4))


def test_the_second_view_loses_its_label_too(folder: Path) -> None:
    views = dict(
        type='mmcds.TwoViews', first=[], second=[dict(type='RandomFlip', prob=1.0)], pack=dict(type='PackInputs')
    )
    data = images(folder, [dict(type='LoadImageFromFile'), views], fraction=0.1)
    for i in (0, 19):
        second = data[i]['data_samples'].view2
        assert second.inputs.shape == (3, 8, 8)
        assert second.gt_label.numel() == (1 if i == 0 else 0)


@pytest.mark.parametrize(('share', 'labelled'), [(0.5, 18), (0.75, 54), (0.05, 2)])
def test_labelled_images_are_repeated_to_their_share(share: float, labelled: int, folder: Path) -> None:
    """Two labelled ones beside eighteen: repeated, never dropped."""
    data = images(folder, fraction=0.1, labelled_share=share)
    kinds = Counter(item[2] for item in data.items)
    assert kinds == {True: labelled, False: 18}
    times = Counter(item[:2] for item in data.items if item[2])
    assert len(times) == 2
    assert max(times.values()) - min(times.values()) <= 1
    if share >= 0.5:
        assert labelled / len(data) == pytest.approx(share)


def test_another_data_set_of_unlabelled_images(folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'more').mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / 'more' / f'{i}.png'), np.full((8, 8, 3), 200 + i, np.uint8))
    more = dict(type='mmpretrain.CustomDataset', data_root=str(tmp_path), with_label=False, pipeline=PACK)
    data = images(folder, fraction=1.0, unlabelled=more)
    items = [data[i] for i in range(len(data))]
    assert [is_labelled(item) for item in items] == [True] * 20 + [False] * 3
    assert [int(item['inputs'].max()) for item in items[20:]] == [200, 201, 202]
    assert all('gt_label' not in item['data_samples'] or not len(item['data_samples'].gt_label) for item in items[20:])


def test_a_broken_image_is_replaced_by_one_of_its_kind(folder: Path, tmp_path: Path) -> None:
    """Never by one whose label was not chosen."""
    data = images(folder, [dict(type='mmcds.LoadImageOrSkip'), dict(type='PackInputs')], fraction=0.2)
    spoilt = {Path(data.get_data_info(i)['img_path']) for i in (0, 10)}
    kept = {path: path.read_bytes() for path in spoilt}
    labelled = {data.get_data_info(i)['img_path'] for i in range(4)}
    try:
        for path in spoilt:
            path.write_bytes(b'')
        for _ in range(20):
            first, other = data[0]['data_samples'], data[10]['data_samples']
            assert first.img_path in labelled
            assert len(first.gt_label) == 1
            assert other.img_path not in labelled
            assert len(other.gt_label) == 0
            assert not {first.img_path, other.img_path} & {str(path) for path in spoilt}
        for path in labelled:
            kept.setdefault(Path(path), Path(path).read_bytes())
            Path(path).write_bytes(b'')
        with pytest.raises(
            ValueError, match=r'^LabelledFraction: no image could be prepared in \d+ tries; see the warnings'
        ):
            data[0]
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


def test_hooks_switch_the_pipeline_of_all_images(folder: Path) -> None:
    """Those of mmdet and of mmpretrain."""
    from mmdet.engine.hooks import PipelineSwitchHook
    from mmpretrain.engine.hooks import SwitchRecipeHook

    def small(side: int) -> list[dict[str, Any]]:
        return [PACK[0], dict(type='mmpretrain.Resize', scale=side), PACK[1]]

    more = dict(type='mmpretrain.CustomDataset', data_root=str(folder), with_label=False, pipeline=PACK)
    data = images(folder, fraction=0.2, unlabelled=more)
    loader = SimpleNamespace(dataset=data, persistent_workers=False)
    loop = SimpleNamespace(dataloader=loader)
    runner: Any = SimpleNamespace(epoch=1, train_loop=loop, train_dataloader=loader, logger=logging.getLogger())
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        hooks = [
            PipelineSwitchHook(switch_epoch=1, switch_pipeline=small(4)),
            SwitchRecipeHook([dict(action_epoch=2, train_pipeline=small(6))]),
        ]
    for hook, side in zip(hooks, (4, 6), strict=True):
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            hook.before_train_epoch(runner)
        assert {data[i]['inputs'].shape for i in range(len(data))} == {(3, side, side)}
        assert data.pipeline is data.datasets[1].pipeline
    assert [is_labelled(data[i]) for i in range(len(data))] == [True] * 4 + [False] * 36


# --- the list ----------------------------------------------------------------------------------


def test_the_list_is_kept_and_read_again(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / 'lists/labelled.json'
    data = images(folder, fraction=0.2, seed=3, list_file=str(file))
    content = json.loads(file.read_text())
    assert content['labelled'] == data.labelled
    assert list(file.parent.iterdir()) == [file]
    # What it says counts, not the draw.
    content['labelled'] = [0, 1, 10, 11]
    file.write_text(json.dumps(content))
    again = images(folder, fraction=0.2, seed=3, list_file=str(file))
    assert again.labelled == [0, 1, 10, 11] != data.labelled
    assert json.loads(file.read_text()) == content


def test_a_list_of_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / 'labelled.json'
    images(folder, fraction=0.2, list_file=str(file))
    for change in (dict(fraction=0.3), dict(seed=1)):
        with pytest.raises(
            ValueError, match=r"^LabelledFraction\.list_file='.*labelled\.json' was made for \{'fraction"
        ):
            images(folder, **{'fraction': 0.2, 'list_file': str(file), **change})
    # Another data set of as many images, whose places have other classes.
    other = tmp_path / 'other'
    for label, count in (('cat', 8), ('dog', 12)):
        (other / label).mkdir(parents=True)
        for i in range(count):
            cv2.imwrite(str(other / label / f'{i}.png'), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r'was made for .*, not for .*; name another file, or give the settings'):
        images(other, fraction=0.2, list_file=str(file))
    for text in (file.read_text()[:20], '[]', '{"fraction": 0.2}'):
        file.write_text(text)
        with pytest.raises(ValueError, match=r'is cut short or no such list; remove it to have it written anew$'):
            images(folder, fraction=0.2, list_file=str(file))


# --- mmdet's data sets -------------------------------------------------------------------------


def test_a_detector_s_data_set(toy_data: Path) -> None:
    """Through loader, preprocessor and a step of a real detector."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='PackDetInputs'),
    ]
    coco = dict(
        type='CocoDataset', data_root=str(toy_data), metainfo=dict(classes=CLASSES), ann_file='train.json',
        data_prefix=dict(img='images/'), pipeline=pipeline,
    )  # fmt: skip
    with DefaultScope.overwrite_default_scope('mmdet'):
        data = LabelledFraction(coco, fraction=0.34)
        items = [data[i] for i in range(len(data))]
    assert [is_labelled(item) for item in items] == [True] * 2 + [False] * 4
    assert [len(item['data_samples'].gt_instances) > 0 for item in items] == [True] * 2 + [False] * 4
    assert all(len(item['data_samples'].ignored_instances) == 0 for item in items)
    assert sorted(item['data_samples'].img_id for item in items) == list(range(6))
    model: Any = build(add_cds(toy_model(), sampler=dict(type='DenseSampler')))
    TwoViewForward(model).attach()
    losses = model(**model.data_preprocessor(pseudo_collate(items[1:4]), True), mode='loss')
    assert losses['loss_cds_backbone2'] > 0.01
    total(losses).backward()
    assert model.rpn_head.rpn_cls.weight.grad.abs().sum() > 0


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(fraction=0), r'^LabelledFraction\.fraction=0 is out of range; give a number in \(0, 1\]$'),
        (dict(fraction=1.5), r'^LabelledFraction\.fraction=1\.5 is out of range'),
        (dict(fraction='10%'), r"^LabelledFraction\.fraction='10%' is out of range"),
        (dict(keep_unlabelled='no'), r"^LabelledFraction\.keep_unlabelled='no' is neither True nor False"),
        (dict(seed=-1), r'^LabelledFraction\.seed=-1 is out of range'),
        (dict(labelled_share=0), r'^LabelledFraction\.labelled_share=0 is out of range'),
        (dict(labelled_share=1), r'^LabelledFraction\.labelled_share=1 leaves no unlabelled image; set keep_unl'),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=message):
        images(folder, **arguments)


def test_a_wrapper_inside_is_refused(folder: Path) -> None:
    inner = images(folder, fraction=1.0).datasets[0]
    with pytest.raises(ValueError, match=r'^LabelledFraction\.dataset is a RepeatDataset, .*LabelledFraction inside'):
        LabelledFraction(RepeatDataset(inner, 2))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        stock = dict(type='CustomDataset', data_root=str(folder), pipeline=PACK)
        repeated = RepeatDataset(dict(type='mmcds.LabelledFraction', dataset=stock, fraction=0.5), 3)
    assert len(repeated) == 60
    assert [is_labelled(repeated[i]) for i in (0, 10, 20, 30)] == [True, False, True, False]


#: A neck that learns from unlabelled images.
CDS: dict[str, Any] = dict(type='mmcds.CDSNeck', sampler=dict(type='DenseSampler'))


def config(neck: Any, wrap: bool = False, **arguments: Any) -> Config:
    dataset = dict(type='mmcds.LabelledFraction', dataset=dict(type='CocoDataset'), **arguments)
    if wrap:
        dataset = dict(type='RepeatDataset', times=2, dataset=dataset)
    return Config(dict(model=dict(neck=neck), train_dataloader=dict(dataset=dataset)))


@pytest.mark.parametrize('wrap', [False, True])
def test_unlabelled_images_that_nothing_learns_from_are_refused(wrap: bool) -> None:
    check_labelled_fraction(config(CDS, wrap))
    check_labelled_fraction(config(dict(type='FPN'), wrap, keep_unlabelled=False))
    check_labelled_fraction(Config(dict(model=dict(neck=None))))
    for neck in (None, dict(type='FPN'), dict(type='mmcds.DSNNeck')):
        with pytest.raises(ValueError, match=r'no CDSNeck .*; add CDS \(--cds\) or set keep_unlabelled=False$'):
            check_labelled_fraction(config(neck, wrap))
    for sampler in (None, dict(type='InstanceSampler'), dict(type='mmcds.InstanceSampler')):
        with pytest.raises(
            ValueError, match=r"^neck\.sampler='InstanceSampler' .*set sampler=dict\(type='DenseSampler"
        ):
            check_labelled_fraction(config(dict(CDS, sampler=sampler), wrap))
    with pytest.raises(ValueError, match=r'^LabelledFraction\.fraction=2 is out of range'):
        check_labelled_fraction(config(CDS, wrap, fraction=2))
    with pytest.raises(ValueError, match=r"^LabelledFraction\.keep_unlabelled='no' is neither True nor False"):
        check_labelled_fraction(config(CDS, wrap, keep_unlabelled='no'))


def test_unlabelled_images_of_other_batches_are_refused() -> None:
    pixels = config(dict(CDS, sampler=dict(type='PixelSampler')))
    with pytest.raises(ValueError, match=r"^neck\.sampler='PixelSampler' contrasts annotated pixels"):
        check_labelled_fraction(pixels)
    yolo = config(CDS)
    for kind in ('yolov5_collate', 'mmyolo.yolov5_collate'):
        yolo.train_dataloader.collate_fn = dict(type=kind)
        with pytest.raises(ValueError, match=r"^train_dataloader\.collate_fn='yolov5_collate' .*without the marks"):
            check_labelled_fraction(yolo)
    yolo.train_dataloader.dataset.keep_unlabelled = False
    check_labelled_fraction(yolo)


def test_the_neck_of_a_detector_that_another_model_trains_counts() -> None:
    tracker = config(None)
    tracker.model = dict(type='ByteTrack', detector=dict(type='YOLOX', backbone=dict(type='CSPDarknet'), neck=CDS))
    check_labelled_fraction(tracker)
    tracker.model.detector.neck.sampler.type = 'InstanceSampler'
    with pytest.raises(ValueError, match=r"^neck\.sampler='InstanceSampler' contrasts annotated boxes"):
        check_labelled_fraction(tracker)
    tracker.model.detector.neck = dict(type='FPN')
    with pytest.raises(ValueError, match=r'no CDSNeck'):
        check_labelled_fraction(tracker)
    branches = config(None)
    single = dict(type='DetDataPreprocessor')
    branches.model = dict(
        type='SoftTeacher', detector=dict(backbone=dict(type='ResNet'), neck=CDS),
        data_preprocessor=dict(type='MultiBranchDataPreprocessor', data_preprocessor=single),
    )  # fmt: skip
    with pytest.raises(
        ValueError, match=r"^model\.type='SoftTeacher' trains on batches of several branches, .*=False$"
    ):
        check_labelled_fraction(branches)
    branches.train_dataloader.dataset.keep_unlabelled = False
    check_labelled_fraction(branches)


MIXUP = dict(augments=[dict(type='Mixup', alpha=0.8)])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(model=dict(train_cfg=MIXUP)), r'^model\.train_cfg: Mixup mixes the images of a batch'),
        (
            dict(model=dict(train_cfg=dict(augments=dict(type='mmpretrain.ResizeMix', alpha=1.0)))),
            r'^model\.train_cfg: ResizeMix mixes',
        ),
        (
            dict(model=dict(data_preprocessor=dict(batch_augments=dict(augments=[dict(type='CutMix', alpha=1.0)])))),
            r'^model\.data_preprocessor\.batch_augments: CutMix mixes',
        ),
        (
            dict(custom_hooks=[dict(type='SwitchRecipeHook', schedule=[dict(action_epoch=2, batch_augments=MIXUP)])]),
            r'^custom_hooks: SwitchRecipeHook\.batch_augments: Mixup mixes',
        ),
    ],
)
def test_unlabelled_pixels_are_kept_from_the_heads(changes: dict[str, Any], message: str) -> None:
    cfg = config(CDS)
    cfg.merge_from_dict(changes)
    with pytest.raises(ValueError, match=message + '.*; remove it, or set keep_unlabelled=False$'):
        check_labelled_fraction(cfg)
    cfg.train_dataloader.dataset.keep_unlabelled = False
    check_labelled_fraction(cfg)


def test_batch_augmentations_that_mix_no_images_are_taken() -> None:
    cfg = config(CDS)
    pad = dict(type='BatchFixedSizePad', size=(64, 64))
    cfg.model.data_preprocessor = dict(type='DetDataPreprocessor', batch_augments=[pad])
    cfg.custom_hooks = [dict(type='SwitchRecipeHook', schedule=[dict(action_epoch=2, batch_augments=None)])]
    check_labelled_fraction(cfg)


def test_mosaics_around_and_below_are_refused() -> None:
    """Around it, images are not packed yet; below it, a cache holds images whose labels were not chosen."""
    around = config(CDS, wrap=True)
    mosaic = [dict(type='mmdet.Mosaic', img_scale=(64, 64)), dict(type='PackDetInputs')]
    around.train_dataloader.dataset.dataset = dict(
        type='mmdet.MultiImageMixDataset', dataset=around.train_dataloader.dataset.dataset, pipeline=mosaic
    )
    with pytest.raises(
        ValueError, match=r"^MultiImageMixDataset\.pipeline=\['Mosaic', 'PackDetInputs'\] comes after LabelledFraction"
    ):
        check_labelled_fraction(around)
    around.train_dataloader.dataset.dataset.dataset.keep_unlabelled = False
    check_labelled_fraction(around)

    below = config(CDS)
    for place in (below.train_dataloader.dataset.dataset, below):
        steps = [dict(type='LoadImageFromFile'), dict(type='CachedMosaic', img_scale=(64, 64))]
        if place is below:
            below.custom_hooks = [dict(type='PipelineSwitchHook', switch_epoch=1, switch_pipeline=steps)]
        else:
            place.pipeline = steps
        below.train_dataloader.dataset.keep_unlabelled = True
        with pytest.raises(ValueError, match=r'^LabelledFraction: CachedMosaic of the .*or set keep_unlabelled=False$'):
            check_labelled_fraction(below)
        below.train_dataloader.dataset.keep_unlabelled = False
        check_labelled_fraction(below)
        below.train_dataloader.dataset.dataset.pipeline = []


def test_transforms_that_draw_from_the_whole_data_set_are_refused_in_the_baseline_too() -> None:
    yolo = config(None, keep_unlabelled=False)
    yolo.default_scope = 'mmyolo'
    yolo.train_dataloader.dataset.dataset.pipeline = [dict(type='Mosaic', img_scale=(64, 64))]
    with pytest.raises(ValueError, match=r'^LabelledFraction: Mosaic of the pipeline mixes .*; remove it$'):
        check_labelled_fraction(yolo)
    yolo.train_dataloader.dataset.dataset.pipeline[0].use_cached = True
    check_labelled_fraction(yolo)
