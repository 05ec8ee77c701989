# The released code's views of an image that OpenCV loads (BGR). Pillow resizes as torchvision does, with antialiasing.
load = dict(type='LoadImageFromFile')
pack = dict(type='mmpretrain.PackInputs')
flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
first_view = [dict(type='mmpretrain.RandomResizedCrop', scale=224, backend='pillow'), flip]
jitter = dict(type='mmpretrain.torchvision/ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
colours = [
    dict(type='mmpretrain.NumpyToPIL', to_rgb=True),
    dict(type='RandomApply', transforms=[jitter], prob=0.8),
    dict(type='mmpretrain.torchvision/RandomGrayscale', p=0.2),
    dict(type='mmpretrain.PILToNumpy', to_bgr=True),
]
second_view = [
    dict(type='mmpretrain.RandomResizedCrop', scale=224, crop_ratio_range=(0.2, 1.0), backend='pillow'),
    flip,
    *colours,
]
one_view = [load, *first_view, pack]
two_views = [load, dict(type='mmcds.TwoViews', first=first_view, second=second_view, pack=pack)]
