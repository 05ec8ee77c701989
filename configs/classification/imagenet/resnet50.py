_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/imagenet.py',
    '../_base_/default_runtime.py',
]

channels = [256, 512, 1024, 2048]
# As in torchvision and the released code, residual branches are not initialised to zero.
model = dict(
    backbone=dict(zero_init_residual=False),
    head=dict(num_classes=_base_.num_classes),
)
