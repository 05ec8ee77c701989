# What every arm changes, read as variables by the arms: data at hand, a quarter of the width, half the resolution from
# the first stage on (a sixty-fourth of the work), eight epochs.
custom_imports = dict(imports=['mmcds', 'benchmarks.data.cifar_jpeg'], allow_failed_imports=False)

small_data = dict(type='mmcds.CIFAR10JPEG', data_root='data/cifar10')
small_train_data = dict(small_data, per_class=1000)
small_backbone = dict(base_channels=16, stem_channels=16, strides=(2, 2, 2, 2))
small_channels = dict(backbone=[16, 32, 64, 128])
small_head = dict(in_channels=128)
small_loader = dict(batch_size=64, num_workers=0, persistent_workers=False)
# The paper's 90, 180 and 280 of 300 epochs.
small_scheduler = dict(milestones=[2, 5, 7])
small_train = dict(max_epochs=8, val_interval=8)
small_optimizer = dict(optimizer=dict(lr=0.05))
small_hooks = dict(checkpoint=dict(max_keep_ckpts=1), logger=dict(interval=20))
