_base_ = [
    'mmpretrain::_base_/models/resnet18_cifar.py',
    '../_base_/datasets/cifar10.py',
    '../_base_/schedules/cifar.py',
    '../_base_/default_runtime.py',
]

channels = [64, 128, 256, 512]
# As in torchvision and the released code, residual branches are not initialised to zero.
model = dict(
    backbone=dict(zero_init_residual=False),
    head=dict(num_classes=_base_.num_classes),
)
