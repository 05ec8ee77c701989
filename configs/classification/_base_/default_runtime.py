_base_ = 'mmpretrain::_base_/default_runtime.py'

# With and without CDS: a resumed run ends like an uninterrupted one, and arms of one seed see the same images.
custom_hooks = [dict(type='mmcds.EpochSeedHook')]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
