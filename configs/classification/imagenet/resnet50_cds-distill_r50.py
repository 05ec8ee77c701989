# A teacher trained with CDS; its weights: --cfg-options teacher_checkpoint=PATH
_base_ = './resnet50_cds.py'

teacher_checkpoint = None
model = dict(neck=dict(distill=dict(channels=2048, distance_weight=0.5, logits_weight=1.0, temperature=1.0)))
custom_hooks = [
    *_base_.cds_hooks,
    dict(type='mmcds.DistillHook', teacher='{{ fileDirname }}/resnet50_cds.py', checkpoint=None),
]
