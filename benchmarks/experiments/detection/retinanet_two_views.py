# The contrast as it was shipped when the results of BCCD were measured.
_base_ = '../../../configs/cds/retinanet_r18_cds_bccd.py'

model = dict(
    neck=dict(
        view=dict(type='PhotometricView', scale=0.5), loss=dict(type='ContrastiveLoss', min_anchors=1), loss_weight=0.5
    )
)
