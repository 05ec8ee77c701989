"""The small RetinaNet with rotated boxes: mmrotate's Rotated RetinaNet, angles in [-90, 90) degrees."""

_base_ = './retinanet_r18.py'

angle_version = 'le90'

model = dict(
    data_preprocessor=dict(boxtype2tensor=False),
    bbox_head=dict(
        anchor_generator=dict(type='mmrotate.FakeRotatedAnchorGenerator', angle_version=angle_version),
        bbox_coder=dict(
            type='mmrotate.DeltaXYWHTRBBoxCoder',
            angle_version=angle_version,
            norm_factor=None,
            edge_swap=True,
            proj_xy=True,
            target_means=(0.0, 0.0, 0.0, 0.0, 0.0),
            target_stds=(1.0, 1.0, 1.0, 1.0, 1.0),
        ),
    ),
    # Anchors are upright: they are compared with the upright boxes around the rotated ones.
    train_cfg=dict(assigner=dict(iou_calculator=dict(type='mmrotate.FakeRBboxOverlaps2D'))),
    test_cfg=dict(nms=dict(type='nms_rotated', iou_threshold=0.1)),
)
