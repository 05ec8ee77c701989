_base_ = ['../../../configs/bccd/retinanet_r18_bccd.py', './cds_neck.py']

model = dict(
    neck=dict(
        _delete_=True,
        type='mmcds.DSNNeck',
        neck=_base_.model.neck,
        num_classes=3,
        taps=_base_.cds_neck.taps,
        sampler=_base_.cds_neck.sampler,
        projector=_base_.cds_neck.projector,
        loss_weight=1.0,
    )
)
custom_hooks = [dict(type='mmcds.CDSHook'), dict(type='mmcds.EpochSeedHook')]
