"""Generated shapes with classes of pixels at 128x128 px, for mmsegmentation: 400 training and 100 validation images."""

_base_ = './shapes_detection.py'

dataset_type = 'mmcds.ShapesSegDataset'
data_root = 'data/shapes_pixels/'

# Names with their package, so that a config may inherit this one as `mmcds::...`, too.
train_pipeline = [
    dict(type='mmcds.LoadImageOrSkip'),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='mmseg.Resize', scale=(128, 128), keep_ratio=True),
    dict(type='mmseg.RandomFlip', prob=0.5),
    dict(type='mmseg.PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmseg.Resize', scale=(128, 128), keep_ratio=True),
    dict(type='mmseg.LoadAnnotations'),  # after Resize: the map keeps the size of the file
    dict(type='mmseg.PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='train/', seg_map_path='maps_train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='val/', seg_map_path='maps_val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='mmseg.IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
