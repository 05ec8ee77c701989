# The second view at half the side, in a separate pass: a quarter of its cost; batch statistics include view 1 only.
_base_ = './resnet18_cds.py'

train_pipeline = _base_.fast_views
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(neck=dict(concat=False, recompute=False))
