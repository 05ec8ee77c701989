# The second view at half the side, in a separate pass: a quarter of its cost; batch statistics include view 1 only.
_base_ = './resnet50_cds.py'

second_view = [
    dict(type='mmpretrain.RandomResizedCrop', scale=112, crop_ratio_range=(0.2, 1.0), backend='pillow'),
    _base_.flip,
    *_base_.colours,
]
train_pipeline = [
    _base_.load,
    dict(type='mmcds.TwoViews', first=_base_.first_view, second=second_view, pack=_base_.pack),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(neck=dict(concat=False, recompute=False))
