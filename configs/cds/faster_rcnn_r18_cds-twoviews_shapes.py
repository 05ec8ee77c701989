# The second view comes from the data loader: it may be cropped and flipped, and its boxes follow.
_base_ = './faster_rcnn_r18_cds_shapes.py'

train_pipeline = [
    dict(type='mmcds.LoadImageOrSkip'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(
        type='mmcds.TwoViews',
        first=[dict(type='mmdet.Resize', scale=(160, 160), keep_ratio=True), dict(type='mmdet.RandomFlip', prob=0.5)],
        second=[
            # Keep images whose crop has no object.
            dict(type='mmdet.RandomCrop', crop_size=(0.7, 0.7), crop_type='relative_range', allow_negative_crop=True),
            dict(type='mmdet.Resize', scale=(96, 96), keep_ratio=True),
            dict(type='mmdet.RandomFlip', prob=0.5),
            dict(type='mmdet.PhotoMetricDistortion'),
        ],
        pack=dict(type='mmdet.PackDetInputs'),
    ),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(neck=dict(view=dict(type='DataloaderView')))
