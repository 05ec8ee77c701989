_base_ = './cifar100.py'

num_classes = 10
data_root = 'data/cifar10'
data_preprocessor = dict(num_classes=num_classes)
train_dataloader = dict(dataset=dict(type='mmpretrain.CIFAR10', data_root=data_root))
val_dataloader = dict(dataset=dict(type='mmpretrain.CIFAR10', data_root=data_root))
test_dataloader = val_dataloader
