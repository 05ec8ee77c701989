# DINO R50, four scales, with contrastive deep supervision: its backbone gives three stages.
_base_ = 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py'

model = dict(neck=dict(_delete_=True, type='mmcds.CDSNeck', neck={{_base_.model.neck}}))
custom_hooks = [dict(type='mmcds.CDSHook'), dict(type='mmcds.EpochSeedHook')]
# The stock config has a smaller rate for 'backbone', which would also match neck.cds.projectors.backbone0.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'neck.cds.': dict(lr_mult=1.0)}))
