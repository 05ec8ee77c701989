_base_ = 'mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py'

model = dict(neck=dict(_delete_=True, type='mmcds.CDSNeck', neck={{_base_.model.neck}}))
custom_hooks = [dict(type='mmcds.CDSHook'), dict(type='mmcds.EpochSeedHook')]
