"""RetinaNet with a ResNet-18 of half width, from scratch: small enough for minutes on two CPU cores."""

_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'

model = dict(
    backbone=dict(depth=18, base_channels=32, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    # Without a norm, a head from scratch spends the first epochs learning its bias: on the shapes AP50 0.05
    # after two epochs, against 0.47 with it.
    bbox_head=dict(in_channels=64, feat_channels=64, norm_cfg=dict(type='GN', num_groups=16, requires_grad=True)),
)
