title = 'Results on BCCD'
note = """BCCD (Shenggan/BCCD_Dataset, MIT) in COCO's format, `train/`, `val/` and
`annotations/instances_{train,val}.json`: 292 training and 72 validation images at 256x192 px. ResNet-18 of half width
from scratch, ten epochs where a row says nothing else. Some cells are unlabelled, so AP is noisy. CDS is the shipped
config; forms of it were [screened](results_screening.md) with RetinaNet on a fold of the training images, with other
seeds, and Faster R-CNN takes over what was found. Twelve epochs of Faster R-CNN and fifteen of RetinaNet take the
stock about as long as ten with CDS (compare the minutes; fifteen runs at a time shared the GPU, through NVIDIA's MPS).
With a part of the training images, epochs are as many more, so that the iterations are the same; this, and the length
of training, was tried with RetinaNet alone. What was hoped for is not reached: two points of AP at five seeds with an
interval above zero, and more than the stock gains in the same time. AP of CDS lies above the stock's in the mean for
both detectors, by less than the interval; AP50 lies above it by more; AP75 of RetinaNet lies below it by more. Against
the stock of equal time Faster R-CNN is ahead in AP50, and RetinaNet behind in AP75. Plain deep supervision (DSN),
which costs less, cannot be told from CDS. A second view of full size cannot be told from one of half size, so the
default is the one that takes less memory. [The same runs on CPUs](results_cpu.md), as far as they went, show less: for
RetinaNet, no gain that could be told from zero."""
seeds = [2, 3, 4, 5, 6]
metrics = {'coco/bbox_mAP': 'AP (%)', 'coco/bbox_mAP_50': 'AP50 (%)', 'coco/bbox_mAP_75': 'AP75 (%)'}
prepare = '{python} benchmarks/data/bccd_parts.py ../shared/data/bccd work_dirs/data/bccd'
rivals = [
    ('faster_rcnn_cds', 'faster_rcnn_longer'),
    ('faster_rcnn_cds', 'faster_rcnn_dsn'),
    ('retinanet_cds', 'retinanet_longer'),
    ('retinanet_cds', 'retinanet_longest'),
    ('retinanet_cds', 'retinanet_dsn'),
    ('retinanet_full', 'retinanet_longest'),
    ('retinanet_full', 'retinanet_cds'),
]

arms: dict = {}
bccd = '../shared/data/bccd/'
for detector, name in (('retinanet', 'RetinaNet'), ('faster_rcnn', 'Faster R-CNN')):
    stock, shipped = f'configs/bccd/{detector}_r18_bccd.py', f'configs/cds/{detector}_r18_cds_bccd.py'
    rows = [
        ('stock', '', stock, 'stock', bccd, 10, 8),
        ('longer', '', stock, 'stock, 12 epochs', bccd, 12, 10),
        ('dsn', '', f'benchmarks/experiments/detection/{detector}_dsn.py', 'deep supervision (DSN)', bccd, 10, 8),
        ('cds', '', shipped, 'CDS', bccd, 10, 8),
    ]
    # How it depends on the size of the second view, the length of training and the number of images: the quicker
    # detector says.
    if detector == 'retinanet':
        rows += [
            ('full', '', shipped, 'CDS, full-size second view', bccd, 10, 8),
            ('longest', '', stock, 'stock, 15 epochs', bccd, 15, 12),
        ]
        for length, said, root, epochs, last in (
            ('5', '5 epochs', bccd, 5, 4),
            ('20', '20 epochs', bccd, 20, 16),
            ('part50', 'half of the images', 'work_dirs/data/bccd/50/', 20, 16),
            ('part25', 'a quarter of the images', 'work_dirs/data/bccd/25/', 37, 30),
            ('part10', 'a tenth of the images', 'work_dirs/data/bccd/10/', 92, 74),
        ):
            rows += [
                ('stock', f'_{length}', stock, f'stock, {said}', root, epochs, last),
                ('cds', f'_{length}', shipped, f'CDS, {said}', root, epochs, last),
            ]
    for method, key, config, said, root, epochs, last in rows:
        options = {
            'data_root': root,
            'train_cfg.max_epochs': epochs,
            'train_cfg.val_interval': epochs,
            'param_scheduler.1.milestones': f'[{last}]',
        }
        if method == 'full':
            options.update({'model.neck.view.scale': 1.0, 'model.neck.recompute': False})
        arms[f'{detector}_{method}{key}'] = dict(
            config=config,
            label=f'{name}, {said}',
            baseline=f'{detector}_stock{key}',
            # All seeds of the matrix where it is compared with DSN and longer training.
            seeds=seeds[:3] if key else seeds,
            options=options,
        )
curves = [
    dict(
        title='RetinaNet',
        x=what,
        lines={
            label: [(x, f'retinanet_{method}{key}') for x, key in points]
            for label, method in (('stock', 'stock'), ('CDS', 'cds'))
        },
    )
    for what, points in (
        ('images (%)', ((10, '_part10'), (25, '_part25'), (50, '_part50'), (100, ''))),
        ('epochs', ((5, '_5'), (10, ''), (20, '_20'))),
    )
]
del bccd, detector, name, stock, shipped, rows, length, said, root, epochs, last, method, key, config, options
