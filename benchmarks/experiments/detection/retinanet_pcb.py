"""RetinaNet of small size on DeepPCB at half resolution, as docs/your_data.md builds it."""

_base_ = '../../../configs/bccd/retinanet_r18_bccd.py'

data_root = 'data/deeppcb/'
classes = dict(classes=('open', 'short', 'mousebite', 'spur', 'copper', 'pin-hole'), palette=None)
model = dict(bbox_head=dict(num_classes=6))

size = dict(type='mmdet.Resize', scale=(320, 320), keep_ratio=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    size,
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    size,
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=classes, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=classes, pipeline=test_pipeline))
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val.json')
test_dataloader, test_evaluator = val_dataloader, val_evaluator
