# 350 epochs with AutoAugment. The paper does not say which view has it and when the rate falls. Ours: the first view,
# and at the thirds, as in 90 epochs.
_base_ = './resnet50_cds.py'

first_view = [
    *_base_.first_view,
    dict(type='mmpretrain.AutoAugment', policies='imagenet', hparams=dict(pad_val=[104, 116, 124])),
]
train_pipeline = [
    _base_.load,
    dict(type='mmcds.TwoViews', first=first_view, second=_base_.second_view, pack=_base_.pack),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
param_scheduler = dict(milestones=[117, 233])
train_cfg = dict(max_epochs=350)
