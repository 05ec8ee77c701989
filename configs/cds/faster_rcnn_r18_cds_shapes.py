# Faster R-CNN, ResNet-18 of half width, on generated shapes with the default CDS: minutes on two CPU cores.
_base_ = '../shapes/faster_rcnn_r18_shapes.py'

model = dict(neck=dict(_delete_=True, type='mmcds.CDSNeck', neck={{_base_.model.neck}}))
custom_hooks = [dict(type='mmcds.CDSHook'), dict(type='mmcds.EpochSeedHook')]
