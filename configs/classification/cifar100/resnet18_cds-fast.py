# The second view at half the side, in a pass of its own: a quarter of its cost, and batch statistics of view 1 only.
_base_ = './resnet18_cds.py'

train_pipeline = _base_.fast_views
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(neck=dict(concat=False, recompute=False))
