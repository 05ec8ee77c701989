# Rotated RetinaNet of mmrotate on generated long shapes. Needs mmrotate: tools/setup_env.sh --with rotate
_base_ = [
    '../_base_/models/rotated_retinanet_r18.py',
    '../_base_/datasets/shapes_rotated.py',
    '../_base_/schedules/small.py',
]

default_scope = 'mmrotate'
model = dict(bbox_head=dict(num_classes=4))
default_hooks = dict(checkpoint=dict(save_best='dota/mAP'))
visualizer = dict(type='mmrotate.RotLocalVisualizer')

# Eight epochs instead of the schedule's ten: minutes on one core.
train_cfg = dict(max_epochs=8, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='MultiStepLR', by_epoch=True, milestones=[6], gamma=0.1),
]
