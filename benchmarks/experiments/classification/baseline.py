_base_ = ['../../../configs/classification/cifar10/resnet18.py', './small.py']

model = dict(backbone=_base_.small_backbone, head=_base_.small_head)
train_dataloader = dict(_base_.small_loader, dataset=_base_.small_train_data)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=_base_.small_data)
test_dataloader = val_dataloader
train_cfg = _base_.small_train
param_scheduler = _base_.small_scheduler
optim_wrapper = _base_.small_optimizer
default_hooks = _base_.small_hooks
