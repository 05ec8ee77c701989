"""Instances are matched by where they came from; points by the pipelines' own homographies."""

import random
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform, Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmcds.config.resolved import ResolvedCDS
from mmcds.datasets.transforms import TwoViews
from mmcds.datasets.transforms.two_views import check_second_view
from mmcds.models import DenseSampler, View, build_dsn_neck
from mmcds.models.views import DataloaderView

PACK = dict(type='PackDetInputs')
CROP = dict(type='RandomCrop', crop_size=(40, 40), crop_type='absolute', allow_negative_crop=True)
FLIP = dict(type='RandomFlip', prob=1.0)


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def loaded(count: int = 6, size: int = 64) -> dict:
    """Boxes of 8x8 px, each filled with its own number; labels all but one alike."""
    from mmdet.structures.bbox import HorizontalBoxes

    generator = np.random.default_rng(0)
    image = np.zeros((size, size, 3), dtype=np.uint8)
    places = generator.permutation(49)[:count]
    boxes = []
    for number, place in enumerate(places):
        x, y = 2 + 8 * (place % 7), 2 + 8 * (place // 7)
        image[y : y + 8, x : x + 8] = 10 * (number + 1)
        boxes.append([x, y, x + 8, y + 8])
    return dict(
        img=image,
        img_path='x.png',
        img_id=0,
        img_shape=(size, size),
        ori_shape=(size, size),
        gt_bboxes=HorizontalBoxes(np.array(boxes, dtype=np.float32)),
        gt_bboxes_labels=np.array([3] * (count - 1) + [1]),
        gt_ignore_flags=np.zeros(count, dtype=bool),
    )


def numbers(inputs: torch.Tensor, boxes: torch.Tensor) -> list[int]:
    """What is painted in the middle of each box."""
    centre = ((boxes[:, :2] + boxes[:, 2:]) / 2).long()
    return [int(inputs[0, y, x]) for x, y in centre.tolist()]


@pytest.mark.parametrize('seed', range(5))
def test_rows_of_both_views_are_the_same_instance(seed: int) -> None:
    np.random.seed(seed)
    packed = TwoViews(first=[CROP, FLIP], second=[CROP], pack=PACK)(loaded())
    first, second = packed['data_samples'], packed['data_samples'].view2
    boxes1 = first.gt_instances.bboxes.tensor[second.matched]
    boxes2 = second.gt_instances.bboxes.tensor
    assert len(boxes1) == len(boxes2) == len(second.matched)
    assert numbers(packed['inputs'], boxes1) == numbers(second.inputs, boxes2)
    # The labels are the instances' again, not their numbers.
    assert torch.equal(first.gt_instances.labels[second.matched], second.gt_instances.labels)
    assert set(first.gt_instances.labels.tolist()) <= {1, 3}


def test_something_is_matched_and_something_is_cut_away() -> None:
    matched, seen = 0, 0
    for seed in range(5):
        np.random.seed(seed)
        packed = TwoViews(first=[FLIP], second=[CROP], pack=PACK)(loaded())
        matched += len(packed['data_samples'].view2.matched)
        seen += len(packed['data_samples'].gt_instances)
    assert 0 < matched < seen


def test_the_homography_leads_from_view_1_to_view_2() -> None:
    found = 0
    for _ in range(20):
        packed = TwoViews(first=[FLIP], second=[CROP, FLIP], pack=PACK)(loaded())
        second = packed['data_samples'].view2
        boxes1 = packed['data_samples'].gt_instances.bboxes.tensor[second.matched]
        boxes2 = second.gt_instances.bboxes.tensor
        # Boxes that the crop did not cut.
        whole = (boxes2[:, 2:] - boxes2[:, :2] == 8).all(1)
        found += int(whole.sum())
        centre = torch.cat([(boxes1[:, :2] + boxes1[:, 2:]) / 2, torch.ones(len(boxes1), 1)], 1).double()
        moved = centre @ torch.as_tensor(second.metainfo['between']).double().T
        moved = (moved[:, :2] / moved[:, 2:])[whole].float()
        torch.testing.assert_close(moved, ((boxes2[:, :2] + boxes2[:, 2:]) / 2)[whole])
    assert found > 10


def test_the_first_view_is_the_stock_pipeline_s() -> None:
    steps: list[dict] = [CROP, dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion')]
    np.random.seed(3)
    stock = Compose([*steps, PACK])(loaded())
    np.random.seed(3)
    ours = TwoViews(first=steps, second=[FLIP], pack=PACK)(loaded())
    assert torch.equal(stock['inputs'], ours['inputs'])
    a, b = stock['data_samples'].gt_instances, ours['data_samples'].gt_instances
    assert torch.equal(a.labels, b.labels)
    assert torch.equal(a.bboxes.tensor, b.bboxes.tensor)


def test_a_dropped_image_is_dropped() -> None:
    crop = dict(type='RandomCrop', crop_size=(2, 2), crop_type='absolute', allow_negative_crop=False)
    np.random.seed(0)
    results = loaded(count=1)
    assert TwoViews(first=[crop], second=[], pack=PACK)(results) is None


@pytest.mark.parametrize('name', ['Mosaic', 'mmdet.MixUp', 'CopyPaste', 'CachedMosaic'])
@pytest.mark.parametrize('nested', [False, True])
def test_mixing_is_refused(name: str, nested: bool) -> None:
    step: dict[str, Any] = dict(type=name)
    if nested:
        step = dict(type='RandomApply', transforms=[dict(type='RandomChoice', transforms=[[FLIP], [step]])])
    with pytest.raises(ValueError, match=rf'TwoViews.second: {name.rpartition(".")[2]} .*PhotometricView'):
        TwoViews(first=[], second=[step], pack=PACK)


def test_a_user_s_own_mixing_is_refused() -> None:
    """MultiImageMixDataset knows such a transform by its get_indexes, and so do we."""
    with pytest.raises(ValueError, match=r'TwoViews.first: Collage puts'):
        TwoViews(first=[dict(type=Collage)], second=[], pack=PACK)


def test_a_flip_that_did_not_happen_is_the_identity() -> None:
    """Seen: one such image in a batch, and the map of all of them was lost."""
    never, always = dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)
    flipped = np.array([[-1, 0, 64], [0, 1, 0], [0, 0, 1]])
    for first, second, expected in (
        ([never], [never], np.eye(3)),
        ([never], [always], flipped),
        ([always], [never], flipped),
        ([], [dict(type='PhotoMetricDistortion')], np.eye(3)),
    ):
        view2 = TwoViews(first=first, second=second, pack=PACK)(loaded())['data_samples'].view2
        np.testing.assert_allclose(view2.metainfo['between'], expected)


def test_what_was_moved_before_the_views_is_in_neither_map() -> None:
    moved = Compose([FLIP, dict(type='Resize', scale=(32, 32))])(loaded())
    view2 = TwoViews(first=[], second=[CROP, dict(type='Resize', scale=(64, 64))], pack=PACK)(moved)
    np.testing.assert_allclose(view2['data_samples'].view2.metainfo['between'], np.diag([2, 2, 1]), atol=1e-5)


class Collage(BaseTransform):
    def get_indexes(self, dataset: Any) -> int:
        return 0

    def transform(self, results: dict) -> dict:
        return results


class Noise(BaseTransform):
    def transform(self, results: dict) -> dict:
        results['img'] = np.random.randint(256, size=results['img'].shape, dtype=np.uint8)
        return results


def config(second: list[dict], **options: Any) -> Config:
    two_views = dict(type='mmcds.TwoViews', first=[FLIP], second=second, pack=PACK)
    parts = dict(view=dict(type='DataloaderView'), sampler=options.pop('sampler', None))
    neck = dict(type='mmcds.CDSNeck', channels=dict(backbone=[4]), **parts)
    dataset = dict(type='CocoDataset', pipeline=[dict(type='LoadImageFromFile'), two_views])
    return Config(
        dict(
            model=dict(type='RetinaNet', neck=neck, **options.pop('model', {})), train_dataloader=dict(dataset=dataset)
        )
        | options
    )


def check(cfg: Config) -> None:
    check_second_view(cfg, ResolvedCDS.of(cfg.model.neck).supervision)


AFFINE = [dict(type='RandomAffine')]
NEEDS_MAP = r"sampler='{}' needs .* TwoViews.second: mmdet.RandomAffine: .*PhotometricView"


@pytest.mark.parametrize('kind', ['DenseSampler', 'mmcds.InstanceSampler', DenseSampler])
def test_a_sampler_that_needs_a_map_is_refused_with_the_config(kind: Any) -> None:
    sampler = dict(type=kind, **(dict(background=4) if 'Instance' in str(kind) else {}))
    name = str(getattr(kind, '__name__', kind)).rpartition('.')[2]
    check(config([CROP, FLIP], sampler=sampler))
    with pytest.raises(ValueError, match=NEEDS_MAP.format(name)):
        check(config(AFFINE, sampler=sampler))
    if 'Instance' in str(kind):
        # A part without a type changes the default, which is this sampler.
        with pytest.raises(ValueError, match=NEEDS_MAP.format(name)):
            check(config(AFFINE, sampler=dict(background=4)))
    # A pipeline that a hook switches to is one of training, too.
    later = config(AFFINE).train_dataloader.dataset.pipeline
    with pytest.raises(ValueError, match=NEEDS_MAP.format(name)):
        check(config([CROP], sampler=sampler, custom_hooks=[dict(type='PipelineSwitchHook', switch_pipeline=later)]))


@pytest.mark.parametrize('sampler', [None, dict(type='ImageSampler'), dict(type='InstanceSampler')])
def test_samplers_that_need_no_map_take_any_geometry(sampler: dict | None) -> None:
    check(config(AFFINE, sampler=sampler))


@pytest.mark.parametrize('field', ['model.train_cfg', 'model.data_preprocessor', 'data_preprocessor'])
def test_batch_augmentations_are_refused_with_the_config(field: str) -> None:
    mixup = dict(augments=dict(type='Mixup', alpha=0.8))
    cfg = config([CROP])
    cfg.merge_from_dict({field if 'train' in field else f'{field}.batch_augments': mixup})
    with pytest.raises(ValueError, match=r'^model\..*: Mixup changes view 1 of a batch'):
        check(cfg)
    cfg.model.neck.view = dict(type='PhotometricView')
    cfg.train_dataloader.dataset.pipeline = []
    check(cfg)


@pytest.mark.parametrize('view', [None, dict(type='SingleView'), dict(type='mmcds.PhotometricView')])
def test_a_second_view_that_nothing_looks_at_is_refused(view: dict | None) -> None:
    cfg = config([CROP])
    cfg.model.neck.view = view
    stages = [cfg, config([CROP])]
    pipeline = cfg.train_dataloader.dataset.pop('pipeline')
    stages[1].merge_from_dict(dict(custom_hooks=[dict(type='PipelineSwitchHook', switch_pipeline=pipeline)]))
    stages[1].model.neck.view = view
    check(cfg)
    cfg.train_dataloader.dataset.pipeline = pipeline
    name = view['type'].rpartition('.')[2] if view else 'SingleView'
    for each in stages:
        with pytest.raises(
            ValueError, match=rf"^neck\.view='{name}' does not look at .*type='DataloaderView'\), or put"
        ):
            check(each)


class OwnView(View):
    def forward(self, *args: Any) -> Any:
        raise AssertionError('not called')


def test_deep_supervision_and_views_of_a_users_own_take_two_views() -> None:
    cfg = config([CROP])
    check_second_view(cfg, build_dsn_neck(neck=None, channels=dict(backbone=[8, 16])).cds)
    supervision = ResolvedCDS.of(cfg.model.neck).supervision
    supervision.view = OwnView()
    check_second_view(cfg, supervision)


def test_a_data_set_that_mixes_packed_views_is_refused() -> None:
    cfg = config([CROP])
    inner = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(type='MultiImageMixDataset', dataset=inner, pipeline=[dict(type='MixUp')])
    with pytest.raises(ValueError, match=r"MultiImageMixDataset\.pipeline=\['MixUp'\] comes after TwoViews"):
        check(cfg)


def test_the_model_side_reads_what_the_data_side_wrote() -> None:
    from mmdet.models import DetDataPreprocessor

    np.random.seed(2)
    transform = TwoViews(first=[FLIP], second=[CROP, dict(type='Resize', scale=(32, 32))], pack=PACK)
    packed = [transform(loaded()) for _ in range(2)]
    preprocessor = DetDataPreprocessor(mean=[0.0] * 3, std=[2.0] * 3)
    data = preprocessor(
        {'inputs': [each['inputs'] for each in packed], 'data_samples': [each['data_samples'] for each in packed]}, True
    )
    inputs, views = DataloaderView()(data['inputs'], data['data_samples'], preprocessor)
    assert inputs.shape == (2, 3, 32, 32)
    torch.testing.assert_close(inputs[0], packed[0]['data_samples'].view2.inputs / 2.0)
    assert views.input_sizes == ((64, 64), (32, 32))
    for i in range(2):
        assert len(views.boxes[0][i]) == len(views.boxes[1][i]) == len(views.labels[i])
    assert views.between().shape == (2, 3, 3)


def test_without_a_second_view_the_remedy_is_named() -> None:
    from mmdet.structures import DetDataSample

    with pytest.raises(ValueError, match=r'1 of 1 data samples have no second view.*TwoViews'):
        DataloaderView()(torch.zeros(1, 3, 8, 8), [DetDataSample()], torch.nn.Identity())


def test_the_first_view_draws_what_it_draws_alone() -> None:
    """For one image after another; the second view draws other numbers each time."""
    steps = [dict(type='RandomFlip', prob=0.5), CROP]
    runs = []
    for transform in (Compose([*steps, PACK]), TwoViews(first=steps, second=[CROP, FLIP], pack=PACK)):
        np.random.seed(3)
        random.seed(3)
        torch.manual_seed(3)
        runs.append([transform(loaded()) for _ in range(6)])
        runs[-1].append((np.random.rand(), random.random(), float(torch.rand(()))))
    for alone, paired in zip(runs[0][:-1], runs[1][:-1], strict=True):
        assert torch.equal(alone['inputs'], paired['inputs'])
    assert runs[0][-1] == runs[1][-1]
    second = [each['data_samples'].view2.inputs for each in runs[1][:-1]]
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in pairwise(second))


def test_the_second_views_differ_where_the_first_draws_nothing() -> None:
    def views(transform: TwoViews, seed: int) -> list[torch.Tensor]:
        np.random.seed(seed)
        order = (0, 1, 2, 2, 0)
        return [transform({**loaded(), 'sample_idx': i})['data_samples'].view2.inputs for i in order]

    def made() -> TwoViews:
        return TwoViews(first=[], second=[dict(type=Noise)], pack=PACK)

    transform = made()
    first, second = views(transform, 0), views(transform, 1)
    # Of an image that comes back, too.
    assert all(not torch.equal(a, b) for a, b in combinations([*first, *second], 2))
    # A run that was resumed at the second epoch, which EpochSeedHook seeds.
    assert all(map(torch.equal, views(made(), 1), second))


@pytest.mark.parametrize('options', [{}, dict(test_cfg=dict(size_divisor=32))])
def test_mmsegmentation_s_preprocessor_pads_the_second_views(options: dict[str, Any]) -> None:
    pytest.importorskip('mmseg')
    from mmengine.structures import PixelData
    from mmseg.models.data_preprocessor import SegDataPreProcessor
    from mmseg.structures import SegDataSample

    def sample(height: int, width: int) -> Any:
        made = SegDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width)))
        made.gt_sem_seg = PixelData(data=torch.zeros(1, height, width, dtype=torch.long))
        return made

    sizes = [(64, 64), (64, 48)]
    samples = [sample(*size) for size in sizes]
    images = [torch.randint(256, (3, *size), dtype=torch.uint8) for size in sizes]
    for first, image in zip(samples, images, strict=True):
        first.view2 = sample(32, image.shape[2] // 2)
        first.view2.inputs = image[:, ::2, ::2].clone()
        first.view2.matched = torch.zeros(0, dtype=torch.long)
    preprocessor = SegDataPreProcessor(mean=[0.0] * 3, std=[2.0] * 3, size=(64, 64), **options)
    batch = preprocessor(dict(inputs=images, data_samples=samples), training=True)
    second, views = DataloaderView()(batch['inputs'], batch['data_samples'], preprocessor)
    assert second.shape == (2, 3, 32, 32)
    assert torch.equal(second[1, :, :, :24], samples[1].view2.inputs / 2.0)
    assert not second[1, :, :, 24:].any()
    assert views.image_sizes[1].tolist() == [[32, 32], [32, 24]]
    # The data samples are as they came.
    assert samples[1].view2.gt_sem_seg.data.shape == (1, 32, 24)
