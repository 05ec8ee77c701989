"""A second view made on the device from the first: other colours, other scale, same places."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcds.registry import MODELS
from mmcds.utils.errors import check_count, check_range

from ..samplers.targets import ViewPair
from .describe import image_labels, image_sizes, instances, occupied


@MODELS.register_module()
class PhotometricView(nn.Module):
    """Colour jitter, grayscale, blur and cutout by kornia, on a smaller copy where asked.

    The defaults are the released code's second view (without its crop, which would move the boxes).
    It has no parameters and draws from torch's global generators.

    Args:
        brightness (float): Jitter of brightness, >= 0. Defaults to 0.4.
        contrast (float): Jitter of contrast, >= 0. Defaults to 0.4.
        saturation (float): Jitter of saturation, >= 0. Defaults to 0.4.
        hue (float): Jitter of hue, in [0, 0.5]. Defaults to 0.1.
        jitter_prob (float): Probability of the jitter. Defaults to 0.8.
        grayscale_prob (float): Probability of grayscale. Defaults to 0.2.
        blur_prob (float): Probability of a Gaussian blur of sigma 0.1 to 2 px. Defaults to 0.
        cutout_prob (float): Probability that a rectangle of 2 to 15 % of the image turns into
            the preprocessor's mean colour, black where it has none. Defaults to 0.
        scale (float): Side of the second view relative to the first, in (0, 1]. Defaults to 1.0.
        size_divisor (int): A scaled view's sides are multiples of it, in pixels. Defaults to 32.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> view = dict(type='PhotometricView', scale=0.5, cutout_prob=0.5)
    """

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
    ) -> None:
        super().__init__()
        # Imported here: kornia takes a second, and only training needs it.
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
        chain: list[tuple[float, nn.Module]] = [
            (jitter_prob, augmentation.ColorJiggle(brightness, contrast, saturation, hue, p=jitter_prob)),
            (grayscale_prob, augmentation.RandomGrayscale(p=grayscale_prob)),
            (blur_prob, augmentation.RandomGaussianBlur((9, 9), (0.1, 2.0), p=blur_prob)),
        ]
        self.colours = nn.Sequential(*(step for probability, step in chain if probability > 0))
        # On normalised images, whose mean colour is 0.
        self.cutout = augmentation.RandomErasing((0.02, 0.15), p=cutout_prob) if cutout_prob else nn.Identity()

    @torch.no_grad()
    def forward(self, inputs: Tensor, data_samples: Sequence[Any], preprocessor: nn.Module) -> tuple[Tensor, ViewPair]:
        """Make the second view and say where things are in both.

        Args:
            inputs (Tensor): The first view as the model gets it (N, 3, H, W), normalised and padded.
            data_samples (Sequence): The N data samples, on the same device.
            preprocessor (nn.Module): The model's data preprocessor, for its mean, std and channel order.

        Returns:
            tuple[Tensor, ViewPair]: The second view (N, 3, H', W') in the format of ``inputs``,
            and the geometry and annotations of both.
        """
        size = tuple(inputs.shape[2:])
        second_size = size if self.scale == 1 else tuple(self._scaled(side) for side in size)
        second = inputs.float()
        if second_size != size:
            second = F.interpolate(second, second_size, mode='bilinear', align_corners=False, antialias=False)
        factor = inputs.new_tensor([b / a for a, b in zip(size, second_size, strict=True)], dtype=torch.float32)
        sizes = image_sizes(data_samples, inputs)
        # Colours are float32 whatever the autocast, which would round a blur to bfloat16's eight bits.
        with torch.autocast(inputs.device.type, enabled=False):
            second = self._augment(second, sizes * factor, preprocessor).to(inputs.dtype)

        boxes, labels = instances(data_samples, inputs.device)
        box_factor = factor.flip(0).repeat(2)
        diagonal = torch.cat([factor.flip(0), factor.new_ones(1)])
        views = ViewPair(
            input_sizes=((size[0], size[1]), (second_size[0], second_size[1])),
            # View 2 shows all of view 1, so that a place that view 1 has is one of view 2.
            images=(inputs, None),
            image_sizes=(sizes, sizes * factor),
            image_labels=image_labels(data_samples, inputs.device),
            boxes=(boxes, [box * box_factor for box in boxes]),
            labels=labels,
            transforms=torch.diag(diagonal).expand(len(inputs), 3, 3),
            occupied=occupied(data_samples, inputs.device),
        )
        return second, views

    def _scaled(self, side: int) -> int:
        return max(round(side * self.scale / self.size_divisor), 1) * self.size_divisor

    def _augment(self, images: Tensor, sizes: Tensor, preprocessor: Any) -> Tensor:
        """Change the colours of normalised images (N, 3, H, W), but not those of their padding."""
        normalised = getattr(preprocessor, '_enable_normalize', False)
        mean = preprocessor.mean if normalised else images.new_zeros(1)
        std = preprocessor.std if normalised else images.new_ones(1)
        # kornia reads RGB in [0, 1]; the loaders give BGR in [0, 255], unless the preprocessor turns it.
        flipped = getattr(preprocessor, '_channel_conversion', False) or getattr(preprocessor, 'to_rgb', False)
        order = [0, 1, 2] if flipped else [2, 1, 0]
        colours = ((images * std + mean) / 255)[:, order].clamp(0, 1)
        colours = self.colours(colours).clamp(0, 1)[:, order] * 255
        augmented = self.cutout((colours - mean) / std)
        rows = torch.arange(images.shape[2], device=images.device)[None, :, None] < sizes[:, 0, None, None]
        columns = torch.arange(images.shape[3], device=images.device)[None, None] < sizes[:, 1, None, None]
        return torch.where((rows & columns)[:, None], augmented, images)
