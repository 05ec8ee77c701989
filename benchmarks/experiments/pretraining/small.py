# What the arms change of the ImageNet recipe, read as variables: the data, the size, the length. The views are the
# recipe's own with smaller crops.
custom_imports = dict(imports=['mmcds'], allow_failed_imports=False)

small_size = 96
small_backbone = dict(base_channels=32, stem_channels=32)
small_channels = dict(backbone=[32, 64, 128, 256])
small_head = dict(in_channels=256, num_classes=81)
small_loader = dict(batch_size=32, num_workers=0, persistent_workers=False)

small_load = dict(type='LoadImageFromFile')
small_pack = dict(type='PackInputs')
small_flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
small_crop = dict(type='RandomResizedCrop', scale=small_size, backend='pillow')
small_second = [
    dict(small_crop, crop_ratio_range=(0.2, 1.0)),
    small_flip,
    dict(type='NumpyToPIL', to_rgb=True),
    dict(
        type='RandomApply',
        transforms=[dict(type='torchvision/ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)],
        prob=0.8,
    ),
    dict(type='torchvision/RandomGrayscale', p=0.2),
    dict(type='PILToNumpy', to_bgr=True),
]
small_first_view = [small_load, small_crop, small_flip, small_pack]
small_two_views = [
    small_load,
    dict(type='mmcds.TwoViews', first=[small_crop, small_flip], second=small_second, pack=small_pack),
]
small_test = [
    small_load,
    dict(type='ResizeEdge', scale=110, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=small_size),
    small_pack,
]
small_data = dict(type='CustomDataset', data_root='work_dirs/data/grocery', data_prefix='', with_label=True)
small_train = dict(small_data, ann_file='train.txt')
small_val = dict(small_data, ann_file='test.txt', pipeline=small_test)
small_evaluator = [dict(type='Accuracy', topk=1), dict(type='mmcds.CalibrationError')]

# The recipe's 30 and 60 of 90 epochs.
small_length = dict(max_epochs=15, val_interval=15)
small_scheduler = dict(milestones=[5, 10])
small_optimizer = dict(optimizer=dict(lr=0.05))
small_hooks = dict(checkpoint=dict(max_keep_ckpts=1), logger=dict(interval=20))
