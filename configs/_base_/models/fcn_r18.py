"""FCN with a ResNet-18 of half width, from scratch: small enough for minutes on two CPU cores.

Written out: MMEngine looks for a base `mmseg::...` in a distribution called mmsegmentation, and the maintained one is
called onedl-mmsegmentation.
"""

norm_cfg = dict(type='BN', requires_grad=True)
cross_entropy = dict(type='mmseg.CrossEntropyLoss', use_sigmoid=False)

model = dict(
    type='mmseg.EncoderDecoder',
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(128, 128),
    ),
    backbone=dict(
        type='mmseg.ResNetV1c',
        depth=18,
        base_channels=32,
        stem_channels=32,
        # Stride 16: that of mmsegmentation's FCN, 8, takes twice as long.
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        contract_dilation=True,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        type='mmseg.FCNHead',
        in_channels=256,
        in_index=3,
        channels=64,
        num_convs=2,
        num_classes=19,
        norm_cfg=norm_cfg,
        loss_decode=cross_entropy,
    ),
    auxiliary_head=dict(
        type='mmseg.FCNHead',
        in_channels=128,
        in_index=2,
        channels=32,
        num_convs=1,
        concat_input=False,
        num_classes=19,
        norm_cfg=norm_cfg,
        loss_decode=dict(cross_entropy, loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
