title = 'Classification, longer training'
answer = """
Not run to its end yet.
"""
note = """
Lossy JPEGs of CIFAR-10 (mean PSNR 30.5 dB), not comparable with published numbers. ResNet-18 with a quarter of the
width and half the resolution from the first stage on, 1,000 training images of each class, 60 epochs, batch 64; the
rate is divided by ten after 18, 36 and 56, as after 90, 180 and 280 of the paper's 300.
"""
seeds = [0, 1, 2]
rivals = [('cds', 'longer'), ('single', 'longer'), ('cds', 'single'), ('cds', 'dsn')]
metrics = {'accuracy/top1': 'top-1 (%)', 'calibration/ece': 'ECE (%)'}

arms: dict = {}
for key, config, label, length, milestones in (
    ('baseline', 'baseline', 'baseline', 60, '[18,36,56]'),
    ('cds', 'cds', 'CDS, two views', 60, '[18,36,56]'),
    ('single', 'cds-one-view', 'CDS, one view', 60, '[18,36,56]'),
    ('dsn', 'dsn', 'deep supervision (DSN)', 60, '[18,36,56]'),
    ('longer', 'baseline', 'baseline, twice the epochs', 120, '[36,72,112]'),
):
    arms[key] = dict(
        config=f'benchmarks/experiments/classification/{config}.py',
        label=label,
        baseline='baseline',
        options={
            'train_cfg.max_epochs': length,
            'train_cfg.val_interval': 10,
            'param_scheduler.milestones': milestones,
        },
    )
del key, config, label, length, milestones
