# The control: a classifier after the same heads at every stage except the last, which has the model's own.
dsn = dict(
    type='mmcds.DSNNeck',
    neck=dict(type='mmpretrain.GlobalAveragePooling'),
    taps=['backbone.0', 'backbone.1', 'backbone.2'],
    sampler=dict(type='ImageSampler'),
    projector=dict(type='SepConvProjector'),
    loss_weight=1.0,
)
dsn_hooks = [dict(type='mmcds.EpochSeedHook'), dict(type='mmcds.CDSHook')]
