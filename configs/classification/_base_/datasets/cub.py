_base_ = './imagenet.py'

# The crops and the batch size are ours: the paper does not give its own.
num_classes = 200
data_root = 'data/CUB_200_2011'
data_preprocessor = dict(num_classes=num_classes)
train_dataloader = dict(batch_size=64, dataset=dict(type='mmpretrain.CUB', data_root=data_root, split='train'))
val_dataloader = dict(batch_size=64, dataset=dict(type='mmpretrain.CUB', data_root=data_root, split='test'))
test_dataloader = val_dataloader
