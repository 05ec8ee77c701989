# Logs the contrast's gradient on the backbone beside the task's (cds_grad_ratio), on BCCD.
_base_ = '../../../configs/cds/retinanet_r18_cds_bccd.py'

custom_hooks = [
    dict(type='mmcds.CDSHook'),
    dict(type='mmcds.EpochSeedHook'),
    dict(type='mmcds.DiagnosticsHook', interval=10),
]
