_base_ = [
    'mmpretrain::_base_/models/resnet18_cifar.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/cifar.py',
    '../_base_/default_runtime.py',
]

channels = [64, 128, 256, 512]
model = dict(
    backbone=dict(_delete_=True, type='mmcds.PreActResNet_CIFAR', depth=18, out_indices=(3,)),
    head=dict(num_classes=_base_.num_classes),
)
