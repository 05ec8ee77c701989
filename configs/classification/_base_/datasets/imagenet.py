_base_ = ['mmpretrain::_base_/datasets/imagenet_bs64.py', '../views/imagenet.py']

num_classes = 1000
data_root = 'data/imagenet'
train_pipeline = _base_.one_view
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpretrain.ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='mmpretrain.CenterCrop', crop_size=224),
    dict(type='mmpretrain.PackInputs'),
]
# 256 images in all: on k GPUs set train_dataloader.batch_size to 256 / k.
train_dataloader = dict(batch_size=256, num_workers=8, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(batch_size=256, num_workers=8, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [dict(type='mmpretrain.Accuracy', topk=(1, 5)), dict(type='mmcds.CalibrationError')]
test_evaluator = val_evaluator
