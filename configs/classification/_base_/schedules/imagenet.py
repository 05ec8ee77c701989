_base_ = 'mmpretrain::_base_/schedules/imagenet_bs256.py'

param_scheduler = dict(milestones=[30, 60])
train_cfg = dict(max_epochs=90)
