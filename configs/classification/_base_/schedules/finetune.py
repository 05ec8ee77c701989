# mmpretrain's schedule for CUB, on all fine-grained data sets; the paper does not give its own.
_base_ = 'mmpretrain::_base_/schedules/cub_bs64.py'

train_cfg = dict(val_interval=5)
