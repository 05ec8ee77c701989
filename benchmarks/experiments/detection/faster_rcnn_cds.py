_base_ = ['../../../configs/bccd/faster_rcnn_r18_bccd.py', './cds_neck.py']

custom_imports = dict(imports=['mmcds', 'benchmarks.experiments.ideas'], allow_failed_imports=False)
model = dict(neck=dict(_base_.cds_neck, _delete_=True, neck=_base_.model.neck))
custom_hooks = [dict(type='mmcds.CDSHook'), dict(type='mmcds.EpochSeedHook')]
