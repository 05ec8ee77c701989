"""Generated long shapes with rotated boxes at 128x128 px, for mmrotate: 400 training and 100 validation images."""

_base_ = './shapes_detection.py'

dataset_type = 'mmcds.RotatedShapesDataset'
data_root = 'data/shapes_rotated/'

# Names with their package, so that a config may inherit this one as `mmcds::...`, too.
load_boxes = [
    dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
    dict(type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
]
train_pipeline = [
    dict(type='mmcds.LoadImageOrSkip'),
    *load_boxes,
    dict(type='mmdet.Resize', scale=(128, 128), keep_ratio=True),
    dict(type='mmdet.RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.Resize', scale=(128, 128), keep_ratio=True),
    *load_boxes,  # after Resize: the boxes stay those of the file
    dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='labels_train/',
        data_prefix=dict(_delete_=True, img_path='train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='labels_val/',
        data_prefix=dict(_delete_=True, img_path='val/'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='mmrotate.DOTAMetric', metric='mAP')
test_evaluator = val_evaluator
