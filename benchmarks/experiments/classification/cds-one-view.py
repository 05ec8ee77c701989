# One view, as the data loader's augmentation makes it, in place of two.
_base_ = './cds.py'

train_dataloader = dict(dataset=dict(pipeline=_base_.one_view))
model = dict(neck=dict(view=dict(_delete_=True, type='SingleView')))
