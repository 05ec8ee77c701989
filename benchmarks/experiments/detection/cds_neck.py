# The contrast that the arms start from, with every field named, so that a later default changes none of them.
cds_neck = dict(
    type='mmcds.CDSNeck',
    taps=['backbone.0', 'backbone.1', 'backbone.2', 'backbone.3'],
    view=dict(type='PhotometricView', scale=0.5),
    sampler=dict(type='InstanceSampler'),
    projector=dict(type='MLPProjector'),
    loss=dict(type='ContrastiveLoss'),
    loss_weight=0.1,
    queue_length=0,
    stop_gradient=False,
    concat=False,
    distill=None,
    # Memory is no matter here, and gradients are equal.
    recompute=False,
)
