# 10 % of the annotations of the generated shapes; the other images are used only in the contrast of grid points.
_base_ = './faster_rcnn_r18_cds_shapes.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmcds.LabelledFraction',
        dataset={{_base_.train_dataloader.dataset}},
        fraction=0.1,
        seed=0,
        labelled_share=0.5,
    )
)
model = dict(neck=dict(sampler=dict(type='DenseSampler')))
