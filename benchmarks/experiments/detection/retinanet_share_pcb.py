_base_ = './retinanet_cds_pcb.py'

custom_imports = dict(imports=['mmcds', 'benchmarks.experiments.ideas'], allow_failed_imports=False)
custom_hooks = [
    dict(type='mmcds.CDSHook'),
    dict(type='mmcds.EpochSeedHook'),
    dict(type='ideas.GradientShareHook', share=1.0),
]
