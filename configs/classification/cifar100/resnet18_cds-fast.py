# The second view at half the side, in a pass of its own: a quarter of its cost, and batch statistics of view 1 only.
_base_ = './resnet18_cds.py'

second_view = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='Resize', scale=16, backend='pillow'),
    *_base_.colours,
]
train_pipeline = [dict(type='mmcds.TwoViews', first=_base_.first_view, second=second_view, pack=_base_.pack)]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(neck=dict(concat=False, recompute=False))
