_base_ = ['./resnext101.py', '../_base_/dsn.py']

model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    neck=dict(_base_.dsn, _delete_=True, channels=dict(backbone=_base_.channels), num_classes=_base_.num_classes),
)
custom_hooks = _base_.dsn_hooks
