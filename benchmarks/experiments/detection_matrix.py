title = 'Results of short training'
answer = """
After 10 epochs two views at a weight of 0.5 raised AP50 of both detectors. The rise of AP is not significant, and
AP75 of RetinaNet fell. Trained as long (15 epochs), the stock RetinaNet gained 2.0 ± 0.9 points of AP; its lead over
CDS is not significant. Plain deep supervision (DSN), which costs less than two views, does not differ significantly
from CDS.
"""
note = """
BCCD (Shenggan/BCCD_Dataset, MIT) in COCO's format: 292 training and 72 validation images at 256x192 px. Some cells
are not annotated, so AP is noisy. ResNet-18 of half width from scratch, ten epochs unless a row says otherwise.

- CDS means two views at a weight of 0.5 with `min_anchors=1`. The default is one view at 0.1. The form was
  [screened](results_screening.md) with RetinaNet on a fold of the training images, with other seeds.
- Twelve epochs of the stock Faster R-CNN and fifteen of RetinaNet take about as long as ten with CDS (compare the
  minutes; 15 runs at a time shared the GPU through NVIDIA's MPS).
- Rows with fewer images have more epochs, so that the number of iterations is the same.
- A second view of full size does not differ significantly from one of half size, which takes less memory.
- On CPUs the same five seeds of RetinaNet gained no AP with CDS: -0.28 ± 2.48 points, AP50 +3.02 ± 6.16. With a
  quarter of the images AP rose by 1.27 ± 0.76, with a tenth AP50 rose by 4.30 ± 1.31 (three seeds each). The command
  is the same; the records of those runs were not kept.
"""
seeds = [2, 3, 4, 5, 6]
metrics = {'coco/bbox_mAP': 'AP (%)', 'coco/bbox_mAP_50': 'AP50 (%)', 'coco/bbox_mAP_75': 'AP75 (%)'}
prepare = '{python} benchmarks/data/bccd_parts.py data/bccd work_dirs/data/bccd'
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
bccd = 'data/bccd/'
for detector, name in (('retinanet', 'RetinaNet'), ('faster_rcnn', 'Faster R-CNN')):
    stock, shipped = f'configs/bccd/{detector}_r18_bccd.py', f'benchmarks/experiments/detection/{detector}_two_views.py'
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
