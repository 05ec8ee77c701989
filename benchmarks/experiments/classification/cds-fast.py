_base_ = './cds.py'

train_dataloader = dict(dataset=dict(pipeline=_base_.fast_views))
model = dict(neck=dict(concat=False, recompute=False))
