# YOLOv8-n of mmyolo with CDS on generated shapes. Needs mmyolo: tools/setup_env.sh --with yolo
_base_ = '../shapes/yolov8_n_shapes.py'

# The neck counts its channels before it multiplies them by its width: these are what the backbone returns.
model = dict(
    neck=dict(
        _delete_=True,
        type='mmcds.CDSNeck',
        neck={{_base_.model.neck}},
        channels=dict(backbone=[64, 128, 256], neck=[64, 128, 256]),
    )
)
custom_hooks = [*_base_.custom_hooks, dict(type='mmcds.CDSHook'), dict(type='mmcds.EpochSeedHook')]
