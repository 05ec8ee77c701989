"""A second view made on the device from the first, with other colours and another scale."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from mmcds.registry import MODELS
from mmcds.utils.boxes import scale_boxes
from mmcds.utils.errors import check_count, check_range

from ..data_samples import read_targets
from ..parts import View
from ..step_data import Targets, ViewPair

#: Number of first batches that are used to detect the range of the pixels; each syncs the device.
LOOKS = 20
#: Values of a white pixel that are detected: images in 0..1, of 8 bits and of 16 bits.
FULL_SCALES = (1.0, 255.0, 65535.0)


@MODELS.register_module()
class PhotometricView(View):
    """Colour jitter, grayscale, blur and cutout by kornia, optionally on a smaller copy.

    The defaults are the released code's second view (without its crop, which would move the boxes).
    It has no parameters and draws from torch's global generators. Images have three channels or one; of
    one-channel images only brightness and contrast change.

    Args:
        brightness (float): Jitter of brightness, >= 0. Defaults to 0.4.
        contrast (float): Jitter of contrast, >= 0. Defaults to 0.4.
        saturation (float): Jitter of saturation, >= 0. Defaults to 0.4.
        hue (float): Jitter of hue, in [0, 0.5]. Defaults to 0.1.
        jitter_prob (float): Probability of the jitter. Defaults to 0.8.
        grayscale_prob (float): Probability of grayscale. Defaults to 0.2.
        blur_prob (float): Probability of a Gaussian blur of sigma 0.1 to 2 px. Defaults to 0.
        cutout_prob (float): Probability that a rectangle of 2 to 15 % of the image turns into
            the preprocessor's mean colour, black if it has none. Defaults to 0.
        scale (float): Side of the second view relative to the first, in (0, 1]. Defaults to 1.0.
        size_divisor (int): A scaled view's sides are multiples of it, in pixels. Defaults to 32.
        max_value (float, optional): Value of a white pixel before the preprocessor normalises, > 0. Defaults to None:
            1, 255 or 65535, whichever the first batches and the preprocessor's mean fit.

    Raises:
        ValueError: If an argument is out of its range; in the first steps, if the pixels fit none of these values, or
            the preprocessor's normalisation cannot be read.

    Example:
        >>> view = dict(type='PhotometricView', scale=0.5, cutout_prob=0.5)
    """

    can_augment = True

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.1,
        jitter_prob: float = 0.8,
        grayscale_prob: float = 0.2,
        blur_prob: float = 0.0,
        cutout_prob: float = 0.0,
        scale: float = 1.0,
        size_divisor: int = 32,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        # Imported here because kornia takes a second and only training needs it. On the CPU because kornia creates
        # constants on import, and a caller may build under `torch.device('meta')`.
        with torch.device('cpu'):
            import kornia.augmentation as augmentation

        for field, value in dict(brightness=brightness, contrast=contrast, saturation=saturation).items():
            check_range(f'view.{field}', value, 0)
        check_range('view.hue', hue, 0, 0.5)
        probabilities = dict(
            jitter_prob=jitter_prob,
            grayscale_prob=grayscale_prob,
            blur_prob=blur_prob,
            cutout_prob=cutout_prob,
        )
        for field, value in probabilities.items():
            check_range(f'view.{field}', value, 0, 1)
        self.scale = check_range('view.scale', scale, 0, 1, open_low=True)
        self.size_divisor = check_count('view.size_divisor', size_divisor, 1)
        self.max_value = None if max_value is None else check_range('view.max_value', max_value, 0, open_low=True)
        self._looks = 0 if max_value is None else LOOKS
        chain: list[tuple[float, nn.Module]] = [
            (jitter_prob, augmentation.ColorJiggle(brightness, contrast, saturation, hue, p=jitter_prob)),
            (grayscale_prob, augmentation.RandomGrayscale(p=grayscale_prob)),
            (blur_prob, augmentation.RandomGaussianBlur((9, 9), (0.1, 2.0), p=blur_prob)),
        ]
        self.colours = nn.Sequential(*(step for probability, step in chain if probability > 0))
        # On normalised images, whose mean colour is 0.
        self.cutout = augmentation.RandomErasing((0.02, 0.15), p=cutout_prob) if cutout_prob else nn.Identity()

    @torch.no_grad()
    def forward(self, inputs: Tensor, data_samples: Any, preprocessor: nn.Module) -> tuple[Tensor, ViewPair]:
        """Make the second view, and describe both views.

        Args:
            inputs (Tensor): The first view as the model gets it (N, C, H, W), C 3 or 1, normalised and padded.
            data_samples: What the model gets with them, in a known format, on the same device.
            preprocessor (nn.Module): The model's data preprocessor, for its mean, std and channel order.

        Returns:
            tuple[Tensor, ViewPair]: The second view (N, C, H', W') in the format of ``inputs``,
            and the geometry and annotations of both.
        """
        targets, second_size = read_targets(inputs, data_samples), self.size_of(inputs.shape[2:])
        return (
            self.augment(inputs, targets.image_sizes, preprocessor, second_size),
            self.describe(inputs, targets, second_size),
        )

    def size_of(self, size: Sequence[int]) -> tuple[int, int]:
        """(H', W') of the second view of an input (H, W), in pixels."""
        h, w = (side if self.scale == 1 else self._scaled(side) for side in size)
        return h, w

    @torch.no_grad()
    def augment(self, inputs: Tensor, image_sizes: Tensor, preprocessor: nn.Module, size: tuple[int, int]) -> Tensor:
        """The second view alone (N, C, H', W'), of a given ``size`` (H', W'); see :meth:`View.augment`."""
        second = inputs.float()
        if size != tuple(inputs.shape[2:]):
            second = F.interpolate(second, size, mode='bilinear', align_corners=False, antialias=False)
        sizes = image_sizes * self._factor(inputs, size)
        # Colours are float32 even under autocast, since bfloat16's eight bits would round a blur.
        with torch.autocast(inputs.device.type, enabled=False):
            return self._augment(second, sizes, preprocessor).to(inputs.dtype)

    @torch.no_grad()
    def describe(self, inputs: Tensor, targets: Targets, second_size: tuple[int, int]) -> ViewPair:
        """Geometry and annotations of both views, the second of size (H', W')."""
        size, factor = inputs.shape[2:], self._factor(inputs, second_size)
        diagonal = torch.cat([factor.flip(0), factor.new_ones(1)])
        return ViewPair(
            input_sizes=((size[0], size[1]), second_size),
            # View 2 shows all of view 1, so borders need to be found in view 1 only.
            images=(inputs, None),
            image_sizes=(targets.image_sizes, targets.image_sizes * factor),
            image_labels=targets.image_labels,
            boxes=(targets.boxes, [scale_boxes(box, factor.flip(0)) for box in targets.boxes]),
            labels=targets.labels,
            transforms=torch.diag(diagonal).expand(len(inputs), 3, 3),
            occupied=targets.occupied,
            pixels=targets.pixels,
        )

    @staticmethod
    def _factor(inputs: Tensor, size: tuple[int, int]) -> Tensor:
        """Ratio of the sides of the second view (H', W') to those of the first, (2,), float32."""
        return inputs.new_tensor([size[0] / inputs.shape[2], size[1] / inputs.shape[3]], dtype=torch.float32)

    def _scaled(self, side: int) -> int:
        return max(round(side * self.scale / self.size_divisor), 1) * self.size_divisor

    def _augment(self, images: Tensor, sizes: Tensor, preprocessor: nn.Module) -> Tensor:
        """Change the colours of normalised images (N, C, H, W), but not those of their padding."""
        channels = images.shape[1]
        if channels not in (1, 3):
            raise ValueError(
                f"neck.view: PhotometricView changes images of 3 channels or 1, the model's have {channels}; "
                "make the second view in the data loader, view=dict(type='DataloaderView')"
            )
        mean, std, is_rgb = normalisation_of(preprocessor, images)
        pixels = images * std + mean
        rows = torch.arange(images.shape[2], device=images.device)[None, :, None] < sizes[:, 0, None, None]
        columns = torch.arange(images.shape[3], device=images.device)[None, None] < sizes[:, 1, None, None]
        inside = (rows & columns)[:, None]
        white = self._white(pixels, mean, inside)
        # kornia reads RGB in [0, 1].
        colours = (pixels / white).clamp(0, 1).expand(-1, 3, -1, -1)
        colours = self.colours(colours if is_rgb else colours.flip(1)).clamp(0, 1)
        colours = colours if is_rgb else colours.flip(1)
        # One channel: the three channels are equal, so take the first.
        augmented = self.cutout((colours[:, :channels] * white - mean) / std)
        return torch.where(inside, augmented, images)

    def _white(self, pixels: Tensor, mean: Tensor, inside: Tensor) -> float:
        """Value of a white pixel: the largest that is detected in the first :data:`LOOKS` batches."""
        if self._looks < LOOKS:
            self._looks += 1
            detected = white_of(torch.where(inside, pixels, mean), mean) or 0.0
            if self.max_value and detected > self.max_value:
                print_log(
                    f'the pixels of the first batches were taken for 0 to {self.max_value:g}, they go up to '
                    f'{detected:g}; set neck.view.max_value={detected:g}',
                    'current',
                    logging.WARNING,
                )
            self.max_value = max(detected, self.max_value or 0.0) or None
        return self.max_value or 255.0


#: Attributes of a data preprocessor for whether it swaps red and blue: MMEngine's, mmpretrain's, and that of upstream's
#: mmsegmentation.
CONVERSIONS = ('_channel_conversion', 'to_rgb', 'channel_conversion')


def normalisation_of(preprocessor: Any, images: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Read how a data preprocessor of mmengine, mmdet or mmpretrain normalises.

    mmengine's does not record whether it converts ``rgb_to_bgr`` or ``bgr_to_rgb``: images are taken for RGB after
    either.

    Args:
        preprocessor (nn.Module): The model's data preprocessor.
        images (Tensor): The result has its device and dtype.

    Returns:
        tuple[Tensor, Tensor, bool]: Mean and standard deviation, (C, 1, 1) or (1,), 0 and 1 if it does not
        normalise; and whether it converts BGR to RGB.

    Raises:
        ValueError: If the normalisation cannot be read.
    """
    converts = [getattr(preprocessor, name, None) for name in CONVERSIONS]
    normalises = getattr(preprocessor, '_enable_normalize', None)
    if normalises is None or not any(convert is not None for convert in converts):
        raise ValueError(
            f'neck.view: model.data_preprocessor is a {type(preprocessor).__name__}, which does not say how it '
            "normalises; derive it from mmengine's ImgDataPreprocessor, or use view=dict(type='DataloaderView') "
            '(looked for _enable_normalize, and _channel_conversion or to_rgb)'
        )
    if not normalises:
        return images.new_zeros(1), images.new_ones(1), any(converts)
    return preprocessor.mean.to(images), preprocessor.std.to(images), any(converts)


def white_of(pixels: Tensor, mean: Tensor) -> float | None:
    """Value of a white pixel, see :func:`full_scale`.

    Args:
        pixels (Tensor): A batch before normalisation (N, C, H, W), floating. Reading its range syncs the device.
        mean (Tensor): Mean that the preprocessor subtracts.
    """
    low, high = (float(value) for value in pixels.aminmax())
    # Subtracting the mean and adding it again rounds.
    is_integer = bool(((pixels - pixels.round()).abs() < 1e-3).all())
    return full_scale(low, high, float(mean.max()), is_integer)


def full_scale(low: float, high: float, mean: float, is_integer: bool) -> float | None:
    """Detect the value of a white pixel from a batch.

    Args:
        low (float): Smallest value of its pixels before they were normalised.
        high (float): Largest one.
        mean (float): Largest mean that the preprocessor subtracts, 0 if it subtracts none.
        is_integer (bool): Whether all values are whole numbers.

    Returns:
        float | None: One of :data:`FULL_SCALES`; None if the batch is too dark to tell.

    Raises:
        ValueError: If the values fit none of them.
    """
    brightest = max(high, mean)
    if brightest <= FULL_SCALES[0] and is_integer:
        return None
    # mmdet's PhotoMetricDistortion changes 8-bit pixels to between -0.94 and 1.7 times the scale.
    scale = next((value for value in FULL_SCALES if brightest <= 2 * value), None)
    lowest = -0.25 if scale == FULL_SCALES[0] else -1.0
    dim = scale == FULL_SCALES[1] and brightest < scale / 8 and not is_integer
    if dim and low >= 0:
        return None
    # Negative or small fractional values: the pipeline has normalised already.
    if scale is not None and (low < lowest * scale or dim):
        raise ValueError(
            f'neck.view: pixels from {low:.3g} to {high:.3g} before the data preprocessor are no colours; where the '
            'pipeline normalises, let model.data_preprocessor do it (mean, std), or use '
            "view=dict(type='DataloaderView')"
        )
    if scale is None or (scale == FULL_SCALES[-1] and brightest < scale / 4):
        raise ValueError(
            f'neck.view: pixels up to {high:.6g} are neither of 8 nor of 16 bits; give the value of a white one, '
            'such as neck.view.max_value=4095'
        )
    return scale
