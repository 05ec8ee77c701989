"""Lists of transforms that move pixels, and of those that record the move in ``homography_matrix``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmcv.transforms import TRANSFORMS

from mmcds.utils.type_name import bare_kind

#: Transforms that put several images into one: their boxes cannot be matched between two views.
MIXING = (
    'CachedMixUp',
    'CachedMosaic',
    'CopyPaste',
    'CutMix',
    'MixUp',
    'Mixup',
    'Mosaic',
    'Mosaic9',
    'YOLOXMixUp',
    'YOLOv5CopyPaste',
    'YOLOv5MixUp',
)

#: Per package, transforms that record every move in ``homography_matrix``. The tests compare each with pixels.
RECORDING: dict[str, tuple[str, ...]] = {
    'mmdet': (
        'FixScaleResize',
        'RandomCrop',
        'RandomFlip',
        'RandomFlip_GLIP',
        'Resize',
        'Rotate',
        'ShearX',
        'ShearY',
        'TranslateX',
        'TranslateY',
    ),
}

_COLOURS = (
    'AutoContrast',
    'Brightness',
    'ColorTransform',
    'Contrast',
    'Equalize',
    'Invert',
    'Posterize',
    'RandomErasing',
    'Sharpness',
    'Solarize',
    'SolarizeAdd',
)
#: Per package, transforms that move no pixel of the image. ``Pad`` adds rows at the bottom and columns on the right.
STILL: dict[str, tuple[str, ...]] = {
    'mmcds': ('Cutout',),
    'mmcv': ('Normalize', 'Pad', 'RandomGrayscale'),
    'mmdet': (
        *_COLOURS,
        'Color',
        'Corrupt',
        'CutOut',
        'FilterAnnotations',
        'GTBoxSubOne_GLIP',
        'Pad',
        'PhotoMetricDistortion',
        'SegRescale',
        'YOLOXHSVRandomAug',
    ),
    'mmpretrain': (*_COLOURS, 'ColorJitter', 'Cutout', 'GaussianBlur', 'Lighting', 'NumpyToPIL', 'PILToNumpy'),
    'torchvision': (
        'ColorJitter',
        'GaussianBlur',
        'Grayscale',
        'RandomAdjustSharpness',
        'RandomAutocontrast',
        'RandomEqualize',
        'RandomErasing',
        'RandomGrayscale',
        'RandomInvert',
        'RandomPosterize',
        'RandomSolarize',
    ),
}

#: Per package, wrappers of other transforms, with the attribute that holds those.
WRAPPERS: dict[str, dict[str, str]] = {
    'mmcv': dict(
        Compose='transforms',
        RandomApply='transforms',
        RandomChoice='transforms',
        RandomChoiceResize='resize',
        RandomResize='resize',
    ),
    'mmdet': dict(
        AutoAugment='transforms',
        ProposalBroadcaster='transforms',
        RandAugment='transforms',
        RandomOrder='transforms',
        ResizeShortestEdge='resize',
    ),
    'mmpretrain': dict(AutoAugment='transforms', TorchVisonTransformWrapper='t'),
    'torchvision': dict(
        Compose='transforms', RandomApply='transforms', RandomChoice='transforms', RandomOrder='transforms'
    ),
}

#: Packages whose transforms were all read: one that is in no list above moves pixels without recording it.
_READ = ('mmcv', 'mmdet', 'mmpretrain', 'torchvision')
#: Except these, whose effect depends on their arguments.
_OPEN = ('Albu', 'Albumentations', 'KeyMapper', 'RandAugment', 'TransformBroadcaster')


def configs_in(config: Any) -> Iterator[Mapping[str, Any]]:
    """All parts with a ``type`` in a config, at any depth, the outer ones first."""
    if isinstance(config, Mapping):
        if 'type' in config:
            yield config
        for value in config.values():
            yield from configs_in(value)
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from configs_in(value)


def mixing(pipeline: Sequence[Any]) -> list[str]:
    """Names of the transforms of a pipeline's config that put several images into one, at any depth."""
    names = []
    for step in configs_in(list(pipeline)):
        kind = step['type']
        if isinstance(kind, str):
            with TRANSFORMS.switch_scope_and_registry(None) as registry:
                kind = registry.get(kind) or kind
        # get_indexes is how mmdet's MultiImageMixDataset asks a transform for its other images.
        if bare_kind(kind) in MIXING or bare_kind(step['type']) in MIXING or hasattr(kind, 'get_indexes'):
            names.append(bare_kind(step['type']))
    return names


def unrecorded(step: Any, trusted: Sequence[str] = ()) -> list[str]:
    """Names of the transforms in a built one that are not known to record how they move pixels.

    A subclass counts as another transform than its base.

    Args:
        step (Callable): A transform, or a ``Compose`` of several.
        trusted (Sequence[str]): Class names that the user vouches for. Defaults to ().

    Returns:
        list[str]: The package and class name of each, ``'mmdet.RandomAffine'``.
    """
    kind = type(step)
    package, name = kind.__module__.partition('.')[0], getattr(step, '__name__', kind.__name__)
    attribute = WRAPPERS.get(package, {}).get(name)
    if attribute is not None:
        inside = getattr(step, attribute)
        steps = inside if isinstance(inside, (list, tuple)) else [inside]
        return [missing for part in steps for missing in unrecorded(part, trusted)]
    # This is the only corruption that moves pixels.
    still = name in STILL.get(package, ()) and getattr(step, 'corruption', None) != 'elastic_transform'
    return [] if still or name in RECORDING.get(package, ()) or name in trusted else [f'{package}.{name}']


def may_be_trusted(name: str) -> bool:
    """Whether a user may vouch for a transform, ``'package.Class'``: not known to move pixels without a record."""
    package, _, bare = name.partition('.')
    return package not in _READ or bare in _OPEN
