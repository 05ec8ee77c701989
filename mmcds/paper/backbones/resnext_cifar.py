"""ResNeXt with the stem for CIFAR."""

from mmpretrain.models.backbones import ResNet_CIFAR, ResNeXt


class ResNeXtCIFAR(ResNeXt, ResNet_CIFAR):
    """mmpretrain's ResNeXt behind a 3x3 convolution of stride 1, without max-pooling.

    The stages are ResNeXt's, stem and forward those of ``ResNet_CIFAR``; the weights' names are those of both.

    Args:
        depth (int): 50, 101 or 152.
        groups (int): Groups of the 3x3 convolutions. Defaults to 32.
        width_per_group (int): Channels of a group in the first stage. Defaults to 4.
        **kwargs: As mmpretrain's ResNet takes them.

    Example:
        >>> backbone = dict(type='mmcds.ResNeXt_CIFAR', depth=50, out_indices=(0, 1, 2, 3))
    """
