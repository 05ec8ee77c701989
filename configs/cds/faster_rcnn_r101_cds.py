# Faster R-CNN R101 on COCO with the default CDS: the teacher of faster_rcnn_r50_cds-distill_r101.py.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py'

model = dict(neck=dict(_delete_=True, type='mmcds.CDSNeck', neck={{_base_.model.neck}}))
custom_hooks = [dict(type='mmcds.CDSHook'), dict(type='mmcds.EpochSeedHook')]
