# FCN of mmsegmentation with CDS on the generated shapes. Needs mmsegmentation: tools/setup_env.sh --with seg
_base_ = '../shapes/fcn_r18_shapes.py'

# The model has no neck of its own: the CDSNeck passes the backbone's maps on.
model = dict(
    neck=dict(
        type='mmcds.CDSNeck',
        channels=dict(backbone=[32, 64, 128, 256]),
        sampler=dict(type='PixelSampler'),
        queue_length=1024,
    )
)
custom_hooks = [dict(type='mmcds.CDSHook'), dict(type='mmcds.EpochSeedHook')]
