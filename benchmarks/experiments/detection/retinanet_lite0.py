"""RetinaNet on an EfficientNet-Lite0 that ImageNet pre-trained, fine-tuned on BCCD."""

_base_ = '../../../configs/bccd/retinanet_r18_bccd.py'

model = dict(
    # As the original was trained.
    data_preprocessor=dict(mean=[127.0, 127.0, 127.0], std=[128.0, 128.0, 128.0]),
    backbone=dict(
        _delete_=True,
        type='mmpretrain.TIMMBackbone',
        model_name='tf_efficientnet_lite0',
        features_only=True,
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/data/efficientnet_lite0.pth'),
    ),
    neck=dict(in_channels=[24, 40, 112, 320]),
)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
