_base_ = ['mmpretrain::_base_/datasets/cifar100_bs16.py', '../views/cifar.py']

num_classes = 100
data_root = 'data/cifar100'
# CIFAR-10's mean and standard deviation (RGB), which the released code uses for CIFAR-100, too.
data_preprocessor = dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255])
train_pipeline = _base_.one_view
train_dataloader = dict(
    batch_size=128,
    num_workers=4,
    dataset=dict(data_root=data_root, download=False, pipeline=train_pipeline),
)
val_dataloader = dict(batch_size=128, dataset=dict(data_root=data_root, download=False))
test_dataloader = val_dataloader
val_evaluator = [dict(type='mmpretrain.Accuracy', topk=(1, 5)), dict(type='mmcds.CalibrationError')]
test_evaluator = val_evaluator
