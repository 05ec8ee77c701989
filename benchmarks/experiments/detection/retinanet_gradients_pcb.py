# Logs the contrast's gradient on the backbone beside the task's (cds_grad_ratio), on DeepPCB.
_base_ = './retinanet_cds_pcb.py'

custom_hooks = [
    dict(type='mmcds.CDSHook'),
    dict(type='mmcds.EpochSeedHook'),
    dict(type='mmcds.DiagnosticsHook', interval=10),
]
