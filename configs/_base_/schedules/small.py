"""Ten epochs from scratch, for small sets: minutes on two CPU cores."""

_base_ = 'mmdet::_base_/default_runtime.py'

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=10, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='MultiStepLR', by_epoch=True, milestones=[8], gamma=0.1),
]

randomness = dict(seed=0)
# With and without CDS: both arms of a comparison see the same images in the same order.
custom_hooks = [dict(type='mmcds.EpochSeedHook')]

default_hooks = dict(
    logger=dict(type='LoggerHook', interval=10),
    # By name: 'auto' is the first metric of the first evaluation, with classwise=True that of the first class.
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='coco/bbox_mAP', rule='greater'),
)
log_processor = dict(window_size=10)
