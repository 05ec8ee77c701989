# Rotated RetinaNet of mmrotate with CDS on generated long shapes. Needs mmrotate: tools/setup_env.sh --with rotate
_base_ = '../shapes/rotated_retinanet_r18_shapes.py'

model = dict(neck=dict(_delete_=True, type='mmcds.CDSNeck', neck={{_base_.model.neck}}))
custom_hooks = [dict(type='mmcds.CDSHook'), dict(type='mmcds.EpochSeedHook')]
