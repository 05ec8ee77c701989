# The weight of 0.5 is the released code's on ImageNet.
_base_ = ['./resnet50.py', '../_base_/cds.py']

train_pipeline = _base_.two_views
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    neck=dict(_base_.cds, _delete_=True, channels=dict(backbone=_base_.channels), loss_weight=0.5),
)
custom_hooks = _base_.cds_hooks
