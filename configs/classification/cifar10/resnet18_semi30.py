_base_ = './resnet18_semi10.py'

train_dataloader = dict(dataset=dict(fraction=0.3))
