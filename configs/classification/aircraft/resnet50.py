_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    '../_base_/datasets/aircraft.py',
    '../_base_/schedules/finetune.py',
    '../_base_/finetune_runtime.py',
]

channels = [256, 512, 1024, 2048]
model = dict(head=dict(num_classes=_base_.num_classes))
