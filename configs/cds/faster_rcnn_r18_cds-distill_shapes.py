# A student of a trained CDS detector of its own size: --cfg-options teacher_checkpoint=PATH
_base_ = './faster_rcnn_r18_cds_shapes.py'

model = dict(neck=dict(distill=dict(logits_weight=0)))
custom_hooks = [
    dict(type='mmcds.CDSHook'),
    dict(type='mmcds.EpochSeedHook'),
    dict(type='mmcds.DistillHook', teacher='{{ fileDirname }}/faster_rcnn_r18_cds_shapes.py', checkpoint=None),
]
