# The paper's contrast: all four stages, SepConv heads, both views in one batch.
cds = dict(
    type='mmcds.CDSNeck',
    neck=dict(type='mmpretrain.GlobalAveragePooling'),
    view=dict(type='DataloaderView'),
    sampler=dict(type='ImageSampler'),
    projector=dict(type='SepConvProjector'),
    loss=dict(type='ContrastiveLoss', temperature=0.07),
    loss_weight=0.1,
    concat=True,
)
cds_hooks = [dict(type='mmcds.EpochSeedHook'), dict(type='mmcds.CDSHook')]
