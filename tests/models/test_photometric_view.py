"""The second view against pixels, colours and places known without it."""

import random
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.models import DetDataPreprocessor
from torch import Tensor, nn
from toys import RANDOM_PARTS, toy_sample

from mmcds.models import PhotometricView

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
ALL: dict[str, Any] = dict(jitter_prob=1.0, grayscale_prob=0.5, blur_prob=1.0, cutout_prob=1.0)


def preprocessor(bgr_to_rgb: bool = True) -> nn.Module:
    order = 1 if bgr_to_rgb else -1
    return DetDataPreprocessor(mean=MEAN[::order], std=STD[::order], bgr_to_rgb=bgr_to_rgb)


def images(count: int = 2, size: tuple[int, int] = (64, 64), seed: int = 0) -> Tensor:
    """Smooth RGB images in [0, 255]."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 8, 8, generator=generator) * 255
    return nn.functional.interpolate(small, size, mode='bilinear')


def normalise(rgb: Tensor) -> Tensor:
    return (rgb - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def colours(normalised: Tensor) -> Tensor:
    return normalised * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]


def samples_of(sizes: Sequence[tuple[int, int]]) -> list[Any]:
    return [toy_sample([[2, 4, 20, 30]], [i], size) for i, size in enumerate(sizes)]


def view_of(inputs: Tensor, samples: list[Any] | None = None, seed: int = 0, **arguments: Any) -> Tensor:
    torch.manual_seed(seed)
    samples = samples or samples_of([(inputs.shape[2], inputs.shape[3])] * len(inputs))
    return PhotometricView(**arguments)(inputs, samples, preprocessor())[0]


def test_a_view_built_on_another_device_leaves_no_constant_there() -> None:
    """In a new process: the first view that is built imports kornia."""
    code = """
import contextlib, torch
from mmcds.models import PhotometricView
with contextlib.suppress(RuntimeError), torch.device('meta'):  # kornia 0.8 cannot be built there beside torch 2.1
    PhotometricView()
import kornia.augmentation as augmentation
augmentation.ColorJiggle(0.4, 0.4, 0.4, 0.1, p=1.0)(torch.rand(1, 3, 8, 8))
"""
    subprocess.run([sys.executable, '-c', code], check=True)


def test_padding_is_untouched_and_the_rest_is_not() -> None:
    inputs = normalise(images())
    sizes = [(40, 48), (64, 33)]
    for image, (h, w) in zip(inputs, sizes, strict=True):
        image[:, h:] = 0
        image[:, :, w:] = 0
    view = view_of(inputs, samples_of(sizes), **ALL)
    for before, after, (h, w) in zip(inputs, view, sizes, strict=True):
        assert torch.equal(after[:, h:], before[:, h:])
        assert torch.equal(after[:, :, w:], before[:, :, w:])
        assert (after[:, :h, :w] != before[:, :h, :w]).float().mean() > 0.9


def test_padding_of_a_scaled_view_is_at_the_scaled_place() -> None:
    inputs = torch.zeros(1, 3, 64, 128)
    inputs[:, :, :32, :96] = normalise(images(1, (32, 96)))
    view = view_of(inputs, samples_of([(32, 96)]), scale=0.5, brightness=0.9, jitter_prob=1.0)
    assert view.shape == (1, 3, 32, 64)
    assert (view[:, :, 16:] == 0).all()
    assert (view[:, :, :, 48:] == 0).all()
    assert (view[:, :, :16, :48] != 0).any(1).all()


def test_channel_order_does_not_matter() -> None:
    """The same picture as RGB and as BGR turns into the same picture."""
    rgb = images()
    bgr = (rgb.flip(1) - torch.tensor(MEAN[::-1])[:, None, None]) / torch.tensor(STD[::-1])[:, None, None]
    arguments: dict[str, Any] = dict(jitter_prob=1.0, grayscale_prob=0.5)
    torch.manual_seed(1)
    first = PhotometricView(**arguments)(normalise(rgb), samples_of([(64, 64)] * 2), preprocessor(True))[0]
    torch.manual_seed(1)
    second = PhotometricView(**arguments)(bgr, samples_of([(64, 64)] * 2), preprocessor(False))[0]
    back = second * torch.tensor(STD[::-1])[:, None, None] + torch.tensor(MEAN[::-1])[:, None, None]
    torch.testing.assert_close(colours(first), back.flip(1), rtol=0, atol=0.01)
    assert (colours(first) - rgb).abs().mean() > 5


def test_grayscale_has_the_luma_of_the_standard() -> None:
    """0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), which also says which channel is red."""
    rgb = images()
    gray = colours(view_of(normalise(rgb), jitter_prob=0.0, grayscale_prob=1.0))
    luma = (rgb * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    torch.testing.assert_close(gray, luma.expand_as(gray), rtol=0, atol=0.1)


def test_other_preprocessors() -> None:
    """mmpretrain's turns to RGB by another name; YOLOX's does not normalise at all."""
    rgb = images()
    luma = (rgb * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    view, samples = PhotometricView(jitter_prob=0.0, grayscale_prob=1.0), samples_of([(64, 64)] * 2)
    raw = view(rgb.flip(1), samples, DetDataPreprocessor())[0]
    torch.testing.assert_close(raw, luma.expand_as(raw), rtol=0, atol=0.1)
    # Upstream's mmsegmentation says the same by a public name.
    seg: Any = nn.Module()
    seg.channel_conversion, seg._enable_normalize = True, True
    seg.mean, seg.std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(colours(view(normalise(rgb), samples, seg)[0]), luma.expand_as(raw), rtol=0, atol=0.1)
    models = pytest.importorskip('mmpretrain.models')
    turned = models.ClsDataPreprocessor(mean=MEAN, std=STD, to_rgb=True)
    torch.testing.assert_close(colours(view(normalise(rgb), samples, turned)[0]), luma.expand_as(raw), rtol=0, atol=0.1)
    unturned = models.ClsDataPreprocessor(mean=[0, 0, 0], std=[255, 255, 255], to_rgb=False)
    found = view(rgb.flip(1) / 255, samples, unturned)[0]
    torch.testing.assert_close(found * 255, luma.expand_as(raw), rtol=0, atol=0.1)


def raw_pixels(scale: float, seed: int = 0) -> Tensor:
    """Smooth images whose white is ``scale``."""
    return images(seed=seed) / 255 * scale


@pytest.mark.parametrize(
    ('scale', 'mean', 'std'),
    [
        (255.0, MEAN, STD),
        (255.0, None, None),
        (1.0, [0.45] * 3, [0.225] * 3),
        (1.0, None, None),
        (65535.0, [27000.0] * 3, [12000.0] * 3),
        (65535.0, None, None),
        (255.0, [0.0] * 3, [255.0] * 3),
    ],
)
def test_pixels_of_any_range_change_alike(scale: float, mean: list[float] | None, std: list[float] | None) -> None:
    """The same picture in 8 bits, 16 bits and 0..1 turns into the same picture, apart from its scale."""
    outcomes = []
    for white, m, s in ((scale, mean, std), (255.0, MEAN, STD)):
        pixels = raw_pixels(white)
        shift, factor = (torch.tensor(m)[:, None, None], torch.tensor(s)[:, None, None]) if m and s else (0.0, 1.0)
        kind = DetDataPreprocessor(mean=m, std=s, bgr_to_rgb=True)
        torch.manual_seed(3)
        inputs = (pixels - shift) / factor
        second, _ = PhotometricView(jitter_prob=1.0, grayscale_prob=0.5)(inputs, samples_of([(64, 64)] * 2), kind)
        outcomes.append((second * factor + shift) / white)
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=0, atol=2e-3)
    assert (outcomes[0] - raw_pixels(1.0)).abs().mean() > 0.02


def test_what_is_no_colour_is_refused() -> None:
    """Images that the pipeline normalised, 12 bits, and preprocessors that do not say how they normalise."""
    samples = samples_of([(64, 64)] * 2)
    cases: list[tuple[Tensor, Any, str]] = [
        (
            (images() - 114) / 57,
            DetDataPreprocessor(),
            r'^neck\.view: pixels from -\d.* are no colours; where the pipeline',
        ),
        (
            raw_pixels(4095.0),
            DetDataPreprocessor(),
            r'^neck\.view: pixels up to 40\d\d.* neither of 8 nor of 16 bits; .*max_value=4095$',
        ),
        (
            images(),
            nn.Identity(),
            r'^neck\.view: model\.data_preprocessor is a Identity, which does not say how it normalises',
        ),
        (
            images()[:, :2],
            preprocessor(),
            r"^neck\.view: PhotometricView changes images of 3 channels or 1, the model's have 2;",
        ),
    ]
    for inputs, kind, message in cases:
        with pytest.raises(ValueError, match=message):
            PhotometricView()(inputs, samples, kind)
    twelve = PhotometricView(max_value=4095.0, **RANDOM_PARTS)(raw_pixels(4095.0), samples, DetDataPreprocessor())[0]
    torch.testing.assert_close(twelve, raw_pixels(4095.0), rtol=1e-5, atol=0.01)


def test_a_dark_first_batch_does_not_decide_the_range() -> None:
    view, samples = PhotometricView(brightness=0.2, jitter_prob=1.0), samples_of([(64, 64)] * 2)
    view(torch.zeros(2, 3, 64, 64), samples, DetDataPreprocessor())
    assert view.max_value is None
    view(images(), samples, DetDataPreprocessor())
    assert view.max_value == 255
    # A dark batch later on changes nothing, and a bright one what the first ones were taken for.
    view(torch.zeros(2, 3, 64, 64), samples, DetDataPreprocessor())
    assert view.max_value == 255
    dim = PhotometricView(**RANDOM_PARTS)
    for scale, expected in ((400.0, 255), (60000.0, 65535), (400.0, 65535)):
        dim(raw_pixels(scale), samples, DetDataPreprocessor())
        assert dim.max_value == expected


def test_the_colour_of_the_padding_is_not_judged() -> None:
    """mmdet pads after it has normalised."""
    inputs = torch.full((1, 3, 64, 64), 114.0)
    inputs[:, :, :40, :48] = normalise(images(1, (40, 48)))
    view = PhotometricView(**RANDOM_PARTS)
    view(inputs, samples_of([(40, 48)]), preprocessor())
    assert view.max_value == 255


def test_dark_fractions_are_judged_later() -> None:
    view = PhotometricView(**RANDOM_PARTS)
    view(images() / 10 + 2.3, samples_of([(64, 64)] * 2), DetDataPreprocessor())
    assert view.max_value is None


def test_distorted_pixels_beyond_the_range_are_8_bits() -> None:
    """mmdet's PhotoMetricDistortion does not clip."""
    from mmdet.datasets.transforms import PhotoMetricDistortion

    distort, low, high = PhotoMetricDistortion(), 0.0, 0.0
    generator = np.random.default_rng(0)
    for seed in range(60):
        np.random.seed(seed)
        random.seed(seed)
        # Saturated colours go furthest.
        pixels = generator.choice([0.0, 255.0], (16, 16, 3)).astype(np.float32)
        found = torch.from_numpy(distort(dict(img=pixels))['img']).permute(2, 0, 1)
        low, high = min(low, found.min().item()), max(high, found.max().item())
        view = PhotometricView(**RANDOM_PARTS)
        view(normalise(found[None]), samples_of([(16, 16)]), preprocessor())
        assert view.max_value == 255
    assert low < -20
    assert high > 300


def test_one_channel_stays_one_channel() -> None:
    gray = images()[:, :1]
    kind = DetDataPreprocessor(mean=[105.0], std=[50.0], bgr_to_rgb=False)
    inputs, samples = (gray - 105) / 50, samples_of([(64, 64)] * 2)
    torch.manual_seed(2)
    second, _ = PhotometricView(**ALL)(inputs, samples, kind)
    assert second.shape == inputs.shape
    assert (second - inputs).abs().mean() > 0.1
    unchanged, _ = PhotometricView(**RANDOM_PARTS)(inputs, samples, kind)
    torch.testing.assert_close(unchanged, inputs, rtol=0, atol=1e-4)
    # Brightness and contrast act as on a picture of three equal channels.
    torch.manual_seed(4)
    one, _ = PhotometricView(saturation=0.0, hue=0.0, jitter_prob=1.0)(inputs, samples, kind)
    torch.manual_seed(4)
    three = DetDataPreprocessor(mean=[105.0] * 3, std=[50.0] * 3)
    wide, _ = PhotometricView(saturation=0.0, hue=0.0, jitter_prob=1.0)(inputs.repeat(1, 3, 1, 1), samples, three)
    torch.testing.assert_close(one.expand_as(wide), wide, rtol=0, atol=1e-4)


def test_nothing_changes_when_all_probabilities_are_0() -> None:
    inputs = normalise(images())
    torch.testing.assert_close(view_of(inputs, **RANDOM_PARTS), inputs, rtol=0, atol=1e-5)
    # At half the side, bilinear reading between four pixels is their mean.
    half = nn.functional.avg_pool2d(inputs, 2)
    torch.testing.assert_close(view_of(inputs, scale=0.5, **RANDOM_PARTS), half, rtol=0, atol=1e-5)


def test_cutout_is_a_rectangle_of_the_mean_colour() -> None:
    inputs = normalise(images(8))
    view = view_of(inputs, cutout_prob=1.0, **RANDOM_PARTS)
    changed = (view - inputs).abs().amax(1) > 1e-4
    for image, mask in zip(view, changed, strict=True):
        assert 0.015 < mask.float().mean() < 0.16
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        box = image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        torch.testing.assert_close(colours(box), torch.tensor(MEAN)[:, None, None].expand_as(box))


def test_the_same_seed_makes_the_same_view() -> None:
    inputs = normalise(images())
    assert torch.equal(view_of(inputs, seed=5, **ALL), view_of(inputs, seed=5, **ALL))
    assert not torch.equal(view_of(inputs, seed=5, **ALL), view_of(inputs, seed=6, **ALL))


@pytest.mark.parametrize('seed', range(5))
def test_colours_stay_in_range_and_images_differ(seed: int) -> None:
    inputs = normalise(images(1)).expand(3, -1, -1, -1).contiguous()
    view = view_of(inputs, seed=seed, brightness=0.9, contrast=0.9, saturation=0.9, hue=0.5, jitter_prob=1.0)
    assert colours(view).min() > -0.01
    assert colours(view).max() < 255.01
    assert not torch.equal(view[0], view[1])


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_has_the_dtype_of_the_input_and_no_gradient(dtype: torch.dtype) -> None:
    inputs = normalise(images()).to(dtype).requires_grad_()
    view = view_of(inputs, **ALL)
    assert view.dtype == dtype
    assert view.isfinite().all()
    assert not view.requires_grad


def test_autocast_rounds_no_colour() -> None:
    inputs = normalise(images())
    with torch.autocast('cpu', torch.bfloat16):
        found = view_of(inputs, **ALL)
    assert torch.equal(found, view_of(inputs, **ALL))


def test_geometry_of_a_scaled_view() -> None:
    """100x200 at half the side is 50x100, on multiples of 32 it is 64x96: factors 0.64 and 0.48."""
    view = PhotometricView(scale=0.5, size_divisor=32)
    second, views = view(torch.zeros(1, 3, 100, 200), [toy_sample([[10, 20, 50, 60]], [2], (80, 150))], preprocessor())
    assert second.shape == (1, 3, 64, 96)
    assert views.input_sizes == ((100, 200), (64, 96))
    assert views.image_sizes[0].tolist() == [[80, 150]]
    assert views.image_sizes[1][0].tolist() == pytest.approx([80 * 0.64, 150 * 0.48])
    assert views.boxes[0][0].tolist() == [[10, 20, 50, 60]]
    assert views.boxes[1][0][0].tolist() == pytest.approx([10 * 0.48, 20 * 0.64, 50 * 0.48, 60 * 0.64])
    assert views.labels[0].tolist() == [2]
    point = views.between()[0] @ torch.tensor([100.0, 50.0, 1.0])
    assert point.tolist() == pytest.approx([48, 32, 1])
    assert view(torch.zeros(1, 3, 16, 16), [toy_sample([], [], (16, 16))], preprocessor())[0].shape == (1, 3, 32, 32)


def test_adds_nothing_to_checkpoints() -> None:
    assert PhotometricView(**ALL).state_dict() == {}


@pytest.mark.parametrize(
    ('field', 'value', 'valid'),
    [
        ('brightness', -0.1, '[0, inf)'),
        ('contrast', -1, '[0, inf)'),
        ('saturation', 'much', '[0, inf)'),
        ('hue', 0.6, '[0, 0.5]'),
        ('jitter_prob', 1.1, '[0, 1]'),
        ('grayscale_prob', -0.2, '[0, 1]'),
        ('blur_prob', 2, '[0, 1]'),
        ('cutout_prob', 2, '[0, 1]'),
        ('scale', 0, '(0, 1]'),
        ('scale', 1.5, '(0, 1]'),
        ('size_divisor', 0.5, None),
        ('max_value', 0, '(0, inf)'),
    ],
)
def test_wrong_arguments_are_named(field: str, value: Any, valid: str | None) -> None:
    with pytest.raises(ValueError) as caught:
        PhotometricView(**{field: value})
    remedy = f'give a number in {valid}' if valid else 'give a whole number, 1 or more'
    assert str(caught.value) == f'view.{field}={value!r} is out of range; {remedy}'
