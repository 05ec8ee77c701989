"""The map between two views against pixels: an image whose channels are its own coordinates says where each went."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform
from mmengine.registry import DefaultScope

from mmcds.datasets.transforms import TwoViews
from mmcds.datasets.transforms.recording import RECORDING, STILL

PACK = dict(type='PackDetInputs')
RESIZE: dict[str, Any] = dict(type='Resize', scale=(160, 120), keep_ratio=True)
CROP: dict[str, Any] = dict(type='RandomCrop', allow_negative_crop=True)
DIRECTIONS = ['horizontal', 'vertical', 'diagonal']

#: Pipelines that leave a map; each transform of RECORDING is in one of them.
MAPPED: dict[str, list[dict[str, Any]]] = {
    'Resize': [dict(type='Resize', scale=(90, 70))],
    'Resize.keep_ratio': [dict(type='Resize', scale=(90, 70), keep_ratio=True)],
    'Resize.factor': [dict(type='Resize', scale_factor=(0.6, 1.4))],
    'FixScaleResize': [dict(type='FixScaleResize', scale=(90, 70), keep_ratio=True)],
    'ResizeShortestEdge': [dict(type='ResizeShortestEdge', scale=60, max_size=90, keep_ratio=False)],
    'RandomResize': [dict(type='RandomResize', scale=(160, 120), ratio_range=(0.5, 1.5), keep_ratio=True)],
    'RandomChoiceResize': [dict(type='RandomChoiceResize', scales=[(60, 90), (120, 60)], keep_ratio=True)],
    'RandomFlip': [dict(type='RandomFlip', prob=0.9, direction=DIRECTIONS)],
    'RandomFlip_GLIP': [dict(type='RandomFlip_GLIP', prob=0.9, direction=DIRECTIONS)],
    'RandomCrop.absolute': [dict(CROP, crop_size=(60, 50))],
    'RandomCrop.larger': [dict(CROP, crop_size=(500, 50))],
    'RandomCrop.absolute_range': [dict(CROP, crop_size=(40, 90), crop_type='absolute_range')],
    'RandomCrop.relative': [dict(CROP, crop_size=(0.5, 0.7), crop_type='relative', bbox_clip_border=False)],
    'RandomCrop.relative_range': [dict(CROP, crop_size=(0.5, 0.7), crop_type='relative_range')],
    'Rotate': [dict(type='Rotate', max_mag=30.0, prob=0.7)],
    'ShearX': [dict(type='ShearX', prob=0.7)],
    'ShearY': [dict(type='ShearY', prob=0.7)],
    'TranslateX': [dict(type='TranslateX', max_mag=0.4, prob=0.7)],
    'TranslateY': [dict(type='TranslateY', max_mag=0.4, prob=0.7)],
    'Pad': [RESIZE, dict(type='Pad', size_divisor=64), dict(type='RandomFlip', prob=0.5)],
    'all': [
        RESIZE,
        dict(type='RandomFlip', prob=0.5, direction=DIRECTIONS),
        dict(CROP, crop_size=(0.6, 0.6), crop_type='relative_range'),
        dict(type='RandomResize', scale=(100, 80), ratio_range=(0.8, 1.2), keep_ratio=True),
        dict(type='Pad', pad_to_square=True, size=None),
    ],
    'wrapped': [
        dict(type='RandomApply', transforms=[RESIZE], prob=0.5),
        dict(
            type='RandomChoice', transforms=[[dict(type='RandomFlip', prob=0.5)], [dict(type='TranslateX', prob=0.5)]]
        ),
        dict(type='RandomOrder', transforms=[dict(CROP, crop_size=(60, 50)), dict(type='RandomFlip', prob=0.5)]),
        dict(type='AutoAugment', policies=[[dict(type='ShearX', prob=0.5), dict(type='RandomFlip', prob=1.0)]]),
        dict(type='RandAugment', aug_space=[[dict(type='Rotate', max_mag=20.0)], [dict(type='ShearY')]], aug_num=1),
    ],
}

#: Transforms that mmdet has and that move pixels without recording all of it.
UNRECORDED: dict[str, dict[str, Any]] = {
    'Expand': dict(type='Expand'),
    # Its record is off by more than a pixel with keep_ratio.
    'FixShapeResize': dict(type='FixShapeResize', width=150, height=90, keep_ratio=True),
    'MinIoURandomCrop': dict(type='MinIoURandomCrop'),
    'RandomAffine': dict(type='RandomAffine'),
    'RandomShift': dict(type='RandomShift'),
    'RandomCenterCropPad': dict(
        type='RandomCenterCropPad',
        crop_size=(80, 80),
        ratios=(1.0,),
        mean=[0, 0, 0],
        std=[1, 1, 1],
        to_rgb=False,
        test_pad_mode=None,
    ),
    'CenterCrop': dict(type='CenterCrop', crop_size=50),
}


class Turned(BaseTransform):
    """A user's own: turns the image upside down and records it, or not."""

    def __init__(self, record: bool = True) -> None:
        self.record = record

    def transform(self, results: dict) -> dict:
        results['img'] = results['img'][::-1].copy()
        if self.record:
            matrix = np.array([[1, 0, 0], [0, -1, results['img'].shape[0]], [0, 0, 1]], dtype=np.float32)
            results['homography_matrix'] = matrix @ results.get('homography_matrix', np.eye(3))
        return results


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    from mmdet.registry import TRANSFORMS

    TRANSFORMS.register_module(module=Turned, force=True)
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def loaded(h: int, w: int) -> dict:
    """Channels: x and y of each pixel's centre, and 1 for what is image and no fill."""
    from mmdet.structures.bbox import HorizontalBoxes

    y, x = np.meshgrid(np.arange(h) + 0.5, np.arange(w) + 0.5, indexing='ij')
    return dict(
        img=np.stack([x, y, np.ones((h, w))], 2).astype(np.float32),
        img_path='x.png',
        img_id=0,
        img_shape=(h, w),
        ori_shape=(h, w),
        gt_bboxes=HorizontalBoxes(np.array([[5, 5, 30, 30], [20, 30, w - 5, h - 5]], dtype=np.float32)),
        gt_bboxes_labels=np.array([0, 1]),
        gt_ignore_flags=np.zeros(2, dtype=bool),
    )


def read(image: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """(M, C): the image (C, H, W) at points (M, 2) as (x, y), bilinear, 0 outside."""
    extent = points.new_tensor([image.shape[2], image.shape[1]])
    grid = (points / extent * 2 - 1)[None, None]
    return F.grid_sample(image[None].to(points.dtype), grid, align_corners=False)[0, :, 0].T


def largest_error(first: list[dict], second: list[dict], seeds: range) -> tuple[float, int]:
    """The largest distance, in pixels of view 2, of a place of view 1 from where its pixel is, and how many places."""
    transform = TwoViews(first=first, second=second, pack=PACK, trusted=[])
    worst, count = 0.0, 0
    for seed in seeds:
        np.random.seed(seed)
        sides = np.random.default_rng(seed).integers(70, 130, 2)
        packed = transform(loaded(int(sides[0]), int(sides[1])))
        one, view2 = packed['inputs'].double(), packed['data_samples'].view2
        two, between = view2.inputs.double(), torch.as_tensor(view2.metainfo['between'])
        y, x = torch.meshgrid(*(torch.arange(2, side - 2, 3).double() + 0.5 for side in one.shape[1:]), indexing='ij')
        points = torch.stack([x.flatten(), y.flatten()], 1)
        moved = F.pad(points, (0, 1), value=1.0) @ between.T
        moved = moved[:, :2] / moved[:, 2:]
        found, expected = read(two, moved), read(one, points)
        # Neighbours show whether a place is beside the fill or the border, where interpolation says nothing.
        near = [moved + torch.tensor(d).double() * 2 for d in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))]
        good = torch.stack([(read(two, each)[:, 2] - 1).abs() < 1e-3 for each in near]).all(0)
        near = [points + torch.tensor(d).double() * 2 for d in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))]
        good &= torch.stack([(read(one, each)[:, 2] - 1).abs() < 1e-3 for each in near]).all(0)
        assert good.any()
        # From pixels of the loaded image to those of view 2, by its own derivatives along x and y.
        steps = [(read(two, moved + torch.tensor(d).double()) - found)[good, :2] for d in ((1.0, 0.0), (0.0, 1.0))]
        jacobian = torch.stack([step.median(0).values for step in steps], 1)
        error = torch.linalg.solve(jacobian, (found - expected)[good, :2].T)
        worst = max(worst, float(error.norm(dim=0).max()))
        count += int(good.sum())
    return worst, count


@pytest.mark.parametrize('name', MAPPED)
def test_the_map_follows_the_pixels(name: str) -> None:
    # Against a flip that moves now and then, and in the other direction.
    flip = [dict(type='RandomFlip', prob=0.5)]
    for first, second in ((flip, MAPPED[name]), (MAPPED[name], flip)):
        worst, count = largest_error(first, second, range(12))
        assert count > 1000
        assert worst < 1


def test_every_recording_transform_is_compared_with_pixels() -> None:
    assert set(RECORDING['mmdet']) <= {name.partition('.')[0] for name in MAPPED}


def test_the_comparison_sees_a_wrong_map() -> None:
    """A transform that is vouched for wrongly is off by many pixels, so that an error would be seen."""
    good = TwoViews(first=[], second=[dict(type='Turned')], pack=PACK, trusted=['Turned'])(loaded(80, 80))
    bad = TwoViews(first=[], second=[dict(type='Turned', record=False)], pack=PACK, trusted='Turned')(loaded(80, 80))
    point = torch.tensor([[20.0, 10.0]]).double()
    for packed, right in ((good, True), (bad, False)):
        view2 = packed['data_samples'].view2
        moved = F.pad(point, (0, 1), value=1.0) @ torch.as_tensor(view2.metainfo['between']).T
        assert torch.allclose(read(view2.inputs, moved[:, :2])[:, :2], point) is right


@pytest.mark.parametrize('name', [*UNRECORDED, 'Turned'])
@pytest.mark.parametrize('nested', [False, True])
def test_other_transforms_leave_no_map_and_are_named(name: str, nested: bool) -> None:
    step = UNRECORDED.get(name, dict(type='Turned'))
    second = [dict(type='RandomApply', transforms=[dict(type='RandomChoice', transforms=[[RESIZE, step]])])]
    transform = TwoViews(first=[RESIZE], second=second if nested else [RESIZE, step], pack=PACK)
    assert f'.{name}:' in transform.unrecorded
    assert transform.unrecorded.startswith('TwoViews.second: ')
    # These two take other inputs than a detector's of uint8.
    if name not in ('CenterCrop', 'RandomCenterCropPad'):
        results = loaded(100, 100)
        results['img'] = results['img'].astype(np.uint8)
        view2 = transform(results)['data_samples'].view2
        assert 'between' not in view2.metainfo
        assert view2.metainfo['unrecorded'] == transform.unrecorded


def test_trust_is_refused_where_it_would_be_wrong() -> None:
    with pytest.raises(ValueError, match=r"trusted='RandomAffine' is refused: mmdet\.RandomAffine .*RandomFlip"):
        TwoViews(first=[], second=[dict(type='RandomAffine')], pack=PACK, trusted=['RandomAffine'])
    with pytest.raises(ValueError, match=r"trusted='Turnd' is not known; .*Turned"):
        TwoViews(first=[], second=[dict(type='Turned')], pack=PACK, trusted=['Turnd'])


def picture() -> np.ndarray:
    """Blocks of random colours, whose edges say where they are."""
    blocks = np.random.default_rng(0).integers(30, 225, (12, 12, 3))
    return np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8)


def edges(image: np.ndarray) -> np.ndarray:
    grey = image.astype(float).mean(2)
    found = np.hypot(*np.gradient(grey))
    return np.minimum(found, np.percentile(found, 90))


ARGUMENTS: dict[str, dict[str, Any]] = {
    'Albu': {},
    'ColorJitter': dict(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
    'Corrupt': dict(corruption='gaussian_noise'),
    'CutOut': dict(n_holes=2, cutout_shape=(10, 10)),
    'Cutout': dict(size=16),
    'FilterAnnotations': dict(min_gt_bbox_wh=(1, 1)),
    'GaussianBlur': dict(radius=1.0, prob=1.0),
    'Normalize': dict(mean=[100.0] * 3, std=[50.0] * 3),
    'NumpyToPIL': {},
    'Pad': dict(size=(130, 110)),
    'RandomErasing': dict(n_patches=2, ratio=0.2),
    'RandomGrayscale': dict(prob=1.0),
}
MMPRETRAIN: dict[str, dict[str, Any]] = {
    **{name: dict(prob=1.0) for name in ('AutoContrast', 'Equalize', 'Invert')},
    **{name: dict(prob=1.0, magnitude=0.4) for name in ('Brightness', 'ColorTransform', 'Contrast', 'Sharpness')},
    'Cutout': dict(shape=20, prob=1.0),
    'Posterize': dict(bits=4, prob=1.0),
    'RandomErasing': dict(erase_prob=1.0, max_area_ratio=0.1),
    'Solarize': dict(thr=128, prob=1.0),
    'SolarizeAdd': dict(magnitude=60, prob=1.0),
    'Lighting': dict(
        eigval=[55.4625, 4.794, 1.1475],
        eigvec=[[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.814], [-0.5836, -0.6948, 0.4203]],
    ),
}


@pytest.mark.parametrize(('package', 'name'), [(p, n) for p in STILL if p != 'torchvision' for n in STILL[p]])
def test_transforms_of_colours_move_nothing(package: str, name: str) -> None:
    if package == 'mmpretrain':
        pytest.importorskip('mmpretrain.datasets')
        arguments = MMPRETRAIN.get(name, ARGUMENTS.get(name, {}))
    else:
        arguments = ARGUMENTS.get(name, {})
    if (package, name) == ('mmdet', 'Corrupt') and not hasattr(__import__('mmdet.datasets').datasets, 'Corrupt'):
        pytest.skip('this mmdet has no Corrupt')
    scoped = name if package == 'mmcv' else f'{package}.{name}'
    step: dict[str, Any] = dict(type=scoped, **arguments)
    second = [dict(type='mmpretrain.NumpyToPIL'), dict(type='mmpretrain.PILToNumpy')] if 'PIL' in name else [step]
    np.random.seed(0)
    results = loaded(96, 96)
    results['img'] = picture()
    transform = TwoViews(first=[], second=second, pack=PACK)
    assert transform.unrecorded == ''
    view2 = transform(results)['data_samples'].view2
    assert np.array_equal(view2.metainfo['between'], np.eye(3))
    found = view2.inputs.permute(1, 2, 0).numpy()[:96, :96]
    # Correlation of the edges: the shift between the two pictures.
    one, two = edges(picture()), edges(found)
    product = np.conj(np.fft.fft2(one - one.mean())) * np.fft.fft2(two - two.mean())
    correlation = np.fft.ifft2(product).real
    assert np.unravel_index(correlation.argmax(), correlation.shape) == (0, 0)


def test_torchvision_s_colours_are_known_and_its_crops_are_not() -> None:
    pytest.importorskip('mmpretrain.datasets')
    pack = dict(type='PackInputs')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        jitter = dict(type='torchvision/ColorJitter', brightness=0.4)
        colours: list[dict[str, Any]] = [
            dict(type='NumpyToPIL'),
            dict(type='RandomApply', transforms=[jitter], prob=0.8),
        ]
        assert TwoViews(first=[], second=colours, pack=pack).unrecorded == ''
        crop = dict(type='torchvision/RandomCrop', size=8)
        assert 'torchvision.RandomCrop' in TwoViews(first=[], second=[*colours, crop], pack=pack).unrecorded
        # mmcv's own, which mmpretrain takes, records nothing.
        found = TwoViews(first=[], second=[dict(type='RandomFlip', prob=0.5)], pack=pack).unrecorded
        assert found.startswith('TwoViews.second: mmcv.RandomFlip:')
