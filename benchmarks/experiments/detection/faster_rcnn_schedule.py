_base_ = './faster_rcnn_cds.py'

# A copy of the CDSHook's default, to be changed by options.
schedule = dict(warmup=0.0, decay='constant')
custom_hooks = [dict(type='mmcds.CDSHook', schedule=schedule), dict(type='mmcds.EpochSeedHook')]
