# Distillation from a larger detector that was trained with CDS: --cfg-options teacher_checkpoint=PATH
_base_ = './faster_rcnn_r50_cds.py'

model = dict(neck=dict(distill=dict(logits_weight=0)))
custom_hooks = [
    dict(type='mmcds.CDSHook'),
    dict(type='mmcds.EpochSeedHook'),
    dict(type='mmcds.DistillHook', teacher='{{ fileDirname }}/faster_rcnn_r101_cds.py', checkpoint=None),
]
