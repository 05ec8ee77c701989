# 10 % of COCO's annotations: images without them are used only in the contrast, which compares grid points.
# Not measured. With all annotations grid points gained no AP (docs/results_screening.md).
_base_ = './faster_rcnn_r50_cds.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmcds.LabelledFraction',
        dataset={{_base_.train_dataloader.dataset}},
        fraction=0.1,
        seed=0,
        # Half of every epoch is annotated, so that a batch rarely has no annotated image.
        labelled_share=0.5,
    )
)
model = dict(neck=dict(sampler=dict(type='DenseSampler')))
