title = 'Classification on real images'
note = """Lossy JPEGs of CIFAR-10 (mean PSNR 30.5 dB): not comparable with published numbers on CIFAR-10. ResNet-18 with
a quarter of the width and half the resolution from the first stage on, 1,000 training images of each class, 8 epochs,
batch 64: far from the paper's 300 epochs of 50,000 images, so what is shown is the difference at a small budget. Arms
have equal epochs, except where the name says otherwise; CDS passes two views. At 10 % labels the baseline sees the
labelled images alone, for as many iterations as the arm with CDS; which ones are labelled is the same for all seeds."""
seeds = [0, 1, 2]
readme = ['baseline', 'dsn', 'cds', 'distill', 'longer', 'semi10', 'cds_semi10']
metrics = {'accuracy/top1': 'top-1 (%)', 'calibration/ece': 'ECE (%)'}

arms = dict(
    baseline=dict(config='benchmarks/classification/baseline.py', label='baseline'),
    dsn=dict(config='benchmarks/classification/dsn.py', label='DSN', baseline='baseline'),
    cds=dict(config='benchmarks/classification/cds.py', label='CDS', baseline='baseline'),
    mlp=dict(config='benchmarks/classification/cds-mlp.py', label='CDS, heads that pool first', baseline='baseline'),
    fast=dict(config='benchmarks/classification/cds-fast.py', label='CDS, half-size second view', baseline='baseline'),
    longer=dict(
        config='benchmarks/classification/baseline.py',
        label='baseline, twice the epochs',
        baseline='baseline',
        options={'train_cfg.max_epochs': 16, 'train_cfg.val_interval': 16, 'param_scheduler.milestones': '[4,10,14]'},
    ),
    semi10=dict(
        config='benchmarks/classification/semi10.py',
        label='baseline, 10 % labels, as many iterations',
        # A tenth of the images in each epoch, hence ten times the epochs.
        options={
            'train_cfg.max_epochs': 80,
            'train_cfg.val_interval': 80,
            'param_scheduler.milestones': '[20,50,70]',
        },
    ),
    semi10_epochs=dict(
        config='benchmarks/classification/semi10.py',
        label='baseline, 10 % labels, as many epochs',
        baseline='semi10',
    ),
    cds_semi10=dict(config='benchmarks/classification/cds-semi10.py', label='CDS, 10 % labels', baseline='semi10'),
    cds_semi10_half=dict(
        config='benchmarks/classification/cds-semi10.py',
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
    semi10_long=dict(
        config='benchmarks/classification/semi10.py',
        label='baseline, 10 % labels, three times as long',
        options={
            'train_cfg.max_epochs': 240,
            'train_cfg.val_interval': 240,
            'param_scheduler.milestones': '[60,150,210]',
        },
    ),
    cds_semi10_long=dict(
        config='benchmarks/classification/cds-semi10.py',
        label='CDS, 10 % labels, repeated to half of each epoch, three times as long',
        baseline='semi10_long',
        options={
            'train_dataloader.dataset.labelled_share': 0.5,
            'train_cfg.max_epochs': 12,
            'train_cfg.val_interval': 12,
            'param_scheduler.milestones': '[3,7,10]',
        },
    ),
    semi25=dict(
        config='benchmarks/classification/semi10.py',
        label='baseline, 25 % labels, as many iterations',
        options={
            'train_dataloader.dataset.fraction': 0.25,
            'train_cfg.max_epochs': 32,
            'train_cfg.val_interval': 32,
            'param_scheduler.milestones': '[8,20,28]',
        },
    ),
    cds_semi25=dict(
        config='benchmarks/classification/cds-semi10.py',
        label='CDS, 25 % labels, repeated to half of each epoch',
        baseline='semi25',
        # 15,000 images in each epoch.
        options={
            'train_dataloader.dataset.fraction': 0.25,
            'train_dataloader.dataset.labelled_share': 0.5,
            'train_cfg.max_epochs': 5,
            'train_cfg.val_interval': 5,
            'param_scheduler.milestones': '[1,3,4]',
        },
    ),
    semi50=dict(
        config='benchmarks/classification/semi10.py',
        label='baseline, 50 % labels, as many iterations',
        options={
            'train_dataloader.dataset.fraction': 0.5,
            'train_cfg.max_epochs': 16,
            'train_cfg.val_interval': 16,
            'param_scheduler.milestones': '[4,10,14]',
        },
    ),
    cds_semi50=dict(
        config='benchmarks/classification/cds-semi10.py',
        label='CDS, 50 % labels',
        baseline='semi50',
        options={
            'train_dataloader.dataset.fraction': 0.5,
        },
    ),
    distill=dict(
        config='benchmarks/classification/distill.py',
        label='CDS with distillation from the CDS arm',
        baseline='baseline',
        after=['cds'],
        options=dict(teacher_checkpoint='{cds}'),
    ),
)
