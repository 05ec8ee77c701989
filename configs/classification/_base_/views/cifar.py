# The released code's views of an image of CIFAR, which is RGB.
pack = dict(type='PackInputs')
first_view = [
    dict(type='RandomCrop', crop_size=32, padding=4, pad_val=128),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='mmcds.Cutout', size=16),
]
# torchvision's own jitter: mmpretrain's assumes BGR for every image.
jitter = dict(type='torchvision/ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
colours = [
    dict(type='NumpyToPIL', to_rgb=False),
    dict(type='RandomApply', transforms=[jitter], prob=0.8),
    dict(type='torchvision/RandomGrayscale', p=0.2),
    dict(type='PILToNumpy', to_bgr=False),
]
second_view = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    *colours,
]
# For the fast recipe: half the side, a quarter of the work.
half_size_view = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='Resize', scale=16, backend='pillow'),
    *colours,
]
one_view = [*first_view, pack]
two_views = [dict(type='mmcds.TwoViews', first=first_view, second=second_view, pack=pack)]
fast_views = [dict(type='mmcds.TwoViews', first=first_view, second=half_size_view, pack=pack)]
