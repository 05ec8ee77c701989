# FCN of mmsegmentation on the generated shapes. Needs mmsegmentation: tools/setup_env.sh --with seg
_base_ = [
    '../_base_/models/fcn_r18.py',
    '../_base_/datasets/shapes_segmentation.py',
    '../_base_/schedules/small.py',
]

default_scope = 'mmseg'
# Background, circle, square, triangle and cross.
model = dict(decode_head=dict(num_classes=5), auxiliary_head=dict(num_classes=5))
default_hooks = dict(
    checkpoint=dict(save_best='mIoU'), visualization=dict(type='mmseg.SegVisualizationHook', draw=False)
)
visualizer = dict(type='mmseg.SegLocalVisualizer')

# Eight epochs instead of the schedule's ten: minutes on one core.
train_cfg = dict(max_epochs=8, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='MultiStepLR', by_epoch=True, milestones=[6], gamma=0.1),
]
