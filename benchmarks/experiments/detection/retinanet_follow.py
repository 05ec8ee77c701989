_base_ = './retinanet_cds.py'

custom_hooks = [dict(type='mmcds.CDSHook'), dict(type='ideas.FollowTaskHook'), dict(type='mmcds.EpochSeedHook')]
