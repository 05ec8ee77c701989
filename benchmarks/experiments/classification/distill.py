# The student of a teacher of its own size, which was trained with CDS.
_base_ = './cds.py'

teacher_checkpoint = None
model = dict(neck=dict(distill=dict(distance_weight=0.1, logits_weight=1.0, temperature=3.0)))
custom_hooks = [
    dict(type='mmcds.CDSHook'),
    dict(type='mmcds.EpochSeedHook'),
    dict(type='mmcds.DistillHook', teacher='{{ fileDirname }}/cds.py', checkpoint=None),
]
