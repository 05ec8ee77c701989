# YOLOv8-n of mmyolo on generated shapes, 160x160 px, Mosaic in all but the last three epochs.
# Needs mmyolo (tools/setup_env.sh --with yolo) and the data (python tools/make_shapes.py --out data/shapes):
# Mosaic takes its images from the data set class of mmyolo.
_base_ = 'mmyolo::yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'

custom_imports = dict(imports=['mmcds'], allow_failed_imports=False)
data_root = 'data/shapes/'
metainfo = dict(classes=('circle', 'square', 'triangle', 'cross'))
img_scale = (160, 160)
max_epochs = 12
switch_epoch = 9

load = [dict(type='mmcds.LoadImageOrSkip'), dict(type='mmdet.LoadAnnotations', with_bbox=True)]
flip_and_pack = [
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape')),
]
train_pipeline = [
    *load,
    dict(type='mmyolo.Mosaic', img_scale=img_scale, pad_val=114.0, pre_transform=load),
    dict(
        type='mmyolo.YOLOv5RandomAffine',
        max_rotate_degree=0.0,
        max_shear_degree=0.0,
        scaling_ratio_range=(0.5, 1.5),
        border=(-80, -80),
        border_val=(114, 114, 114),
    ),
    *flip_and_pack,
]
plain_pipeline = [*load, dict(type='mmdet.Resize', scale=img_scale, keep_ratio=False), *flip_and_pack]
test_pipeline = [
    dict(type='mmcv.LoadImageFromFile'),
    dict(type='mmdet.Resize', scale=img_scale, keep_ratio=False),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    # MMEngine writes the scope into an inherited part, and mmyolo's function takes no such argument.
    collate_fn=dict(_delete_=True, type='yolov5_collate'),
    dataset=dict(
        _delete_=True,
        type='mmyolo.YOLOv5CocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    dataset=dict(
        _delete_=True,
        type='mmyolo.YOLOv5CocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val.json')
test_evaluator = val_evaluator

model = dict(bbox_head=dict(head_module=dict(num_classes=4)), train_cfg=dict(assigner=dict(num_classes=4)))
optim_wrapper = dict(optimizer=dict(batch_size_per_gpu=8))
train_cfg = dict(max_epochs=max_epochs, val_interval=4, dynamic_intervals=None)
default_hooks = dict(
    logger=dict(interval=10),
    param_scheduler=dict(max_epochs=max_epochs, warmup_mim_iter=50),
    checkpoint=dict(interval=1, max_keep_ckpts=1, save_best='coco/bbox_mAP'),
)
ema = dict(
    type='EMAHook',
    ema_type='mmyolo.ExpMomentumEMA',
    momentum=0.002,
    update_buffers=True,
    strict_load=False,
    priority=49,
)
switch = dict(type='mmdet.PipelineSwitchHook', switch_epoch=switch_epoch, switch_pipeline=plain_pipeline)
custom_hooks = [ema, switch]
