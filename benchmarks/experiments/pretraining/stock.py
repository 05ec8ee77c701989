# A classifier whose backbone is that of the small detectors, on photos of groceries.
_base_ = [
    '../../../configs/classification/imagenet/resnet18.py',
    './small.py',
]

model = dict(backbone=_base_.small_backbone, head=_base_.small_head)
train_dataloader = dict(
    _base_.small_loader, dataset=dict(_base_.small_train, _delete_=True, pipeline=_base_.small_first_view)
)
val_dataloader = dict(_base_.small_loader, dataset=dict(_base_.small_val, _delete_=True))
test_dataloader = val_dataloader
val_evaluator = _base_.small_evaluator
test_evaluator = val_evaluator
train_cfg = _base_.small_length
optim_wrapper = _base_.small_optimizer
param_scheduler = _base_.small_scheduler
default_hooks = _base_.small_hooks
