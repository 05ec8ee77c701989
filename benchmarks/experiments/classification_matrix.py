title = 'Classification, short training'
answer = """
CDS gained 2.0 points of top-1, 3.6 with distillation from a teacher trained with CDS. Twice the epochs of the
baseline, which take about as long, gained 7.5. Images without labels did not help at this length of training.
After [60 epochs](results_classification.md) the gain of CDS is not significant.
"""
note = """
Lossy JPEGs of CIFAR-10 (mean PSNR 30.5 dB), not comparable with published numbers. ResNet-18 with a quarter of the
width and half the resolution from the first stage on, 1,000 training images of each class, 8 epochs, batch 64. The
paper trains for 300 epochs on 50,000 images.

- Arms have equal epochs, except where the name says otherwise. CDS has two views.
- With a part of the labels the baseline sees the labelled images only, for about as many iterations as the arm with
  CDS. Which images are labelled is the same for all seeds.
- With all labels only distillation gained as much as the paper on CIFAR-100 (3.4 points), in the mean. With a tenth of
  the labels the paper gained 10 to 18 points; no form gained here. With the labelled images repeated to half of each
  epoch CDS does not differ significantly from the baseline, and is better calibrated. With a quarter and a half of
  the labels the differences are not significant. ECE is the expected calibration error; lower is better.
"""
seeds = [0, 1, 2]
rivals = [('cds', 'longer'), ('distill', 'longer'), ('cds', 'dsn')]
metrics = {'accuracy/top1': 'top-1 (%)', 'calibration/ece': 'ECE (%)'}

arms = dict(
    baseline=dict(config='benchmarks/experiments/classification/baseline.py', label='baseline'),
    dsn=dict(config='benchmarks/experiments/classification/dsn.py', label='DSN', baseline='baseline'),
    cds=dict(config='benchmarks/experiments/classification/cds.py', label='CDS', baseline='baseline'),
    mlp=dict(
        config='benchmarks/experiments/classification/cds-mlp.py',
        label='CDS, heads that pool first',
        baseline='baseline',
    ),
    fast=dict(
        config='benchmarks/experiments/classification/cds-fast.py',
        label='CDS, half-size second view',
        baseline='baseline',
    ),
    longer=dict(
        config='benchmarks/experiments/classification/baseline.py',
        label='baseline, twice the epochs',
        baseline='baseline',
        options={'train_cfg.max_epochs': 16, 'train_cfg.val_interval': 16, 'param_scheduler.milestones': '[4,10,14]'},
    ),
    distill=dict(
        config='benchmarks/experiments/classification/distill.py',
        label='CDS with distillation from the CDS arm',
        baseline='baseline',
        after=['cds'],
        options=dict(teacher_checkpoint='{cds}'),
    ),
    semi10=dict(
        config='benchmarks/experiments/classification/semi10.py',
        label='baseline, 10 % labels, 80 epochs (the iterations of CDS)',
        # A tenth of the images in each epoch, hence ten times the epochs.
        options={
            'train_cfg.max_epochs': 80,
            'train_cfg.val_interval': 80,
            'param_scheduler.milestones': '[20,50,70]',
        },
    ),
    semi10_epochs=dict(
        config='benchmarks/experiments/classification/semi10.py',
        label='baseline, 10 % labels, 8 epochs',
        baseline='semi10',
    ),
    cds_semi10=dict(
        config='benchmarks/experiments/classification/cds-semi10.py', label='CDS, 10 % labels', baseline='semi10'
    ),
    cds_semi10_half=dict(
        config='benchmarks/experiments/classification/cds-semi10.py',
        label='CDS, 10 % labels, labelled images repeated to half of each epoch',
        baseline='semi10',
        # 18,000 images in each epoch instead of 10,000: half the epochs are a tenth fewer iterations.
        options={
            'train_dataloader.dataset.labelled_share': 0.5,
            'train_cfg.max_epochs': 4,
            'train_cfg.val_interval': 4,
            'param_scheduler.milestones': '[1,2,3]',
        },
    ),
)
# The share of labels: about as many iterations in both arms of a pair.
for key, share, said, stock_epochs, stock_steps, epochs, steps, repeat in (
    ('semi25', 0.25, '25 % labels', 32, '[8,20,28]', 5, '[1,3,4]', True),
    ('semi50', 0.5, '50 % labels', 16, '[4,10,14]', 8, '[2,5,7]', False),
):
    repeated = {'train_dataloader.dataset.labelled_share': 0.5} if repeat else {}
    for arm, config, label, length, milestones, more in (
        (key, 'semi10', f'baseline, {said}', stock_epochs, stock_steps, {}),
        (
            f'cds_{key}',
            'cds-semi10',
            f'CDS, {said}{", repeated to half of each epoch" * repeat}',
            epochs,
            steps,
            repeated,
        ),
    ):
        arms[arm] = dict(
            config=f'benchmarks/experiments/classification/{config}.py',
            label=label,
            baseline=key,
            options={
                'train_dataloader.dataset.fraction': share,
                'train_cfg.max_epochs': length,
                'train_cfg.val_interval': length,
                'param_scheduler.milestones': milestones,
                **more,
            },
        )
curves = [
    dict(
        title='About as many iterations',
        x='labelled images (%)',
        lines={
            'baseline': [(10, 'semi10'), (25, 'semi25'), (50, 'semi50'), (100, 'baseline')],
            'CDS (10, 25 %: labelled images repeated)': [
                (10, 'cds_semi10_half'),
                (25, 'cds_semi25'),
                (50, 'cds_semi50'),
                (100, 'cds'),
            ],
        },
    )
]
del key, share, said, stock_epochs, stock_steps, epochs, steps, repeat, repeated, arm, config, label, length, milestones
del more
