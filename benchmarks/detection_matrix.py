title = 'Results on BCCD'
note = """292 training and 72 validation images at 256x192 px, ResNet-18 of half width from scratch, ten epochs where a
row says nothing else. Some cells are unlabelled, so AP is noisy. CDS is the shipped config; forms of it were
[screened](results_screening.md) on a fold of the training images, with other seeds. The stock detectors that train
longer do so for as long as CDS takes, with the second view of half size and of full size: compare the minutes. With a part of the training images, epochs are as many
more, so that the iterations are the same."""
seeds = [2, 3, 4, 5, 6]
metrics = {'coco/bbox_mAP': 'AP (%)', 'coco/bbox_mAP_50': 'AP50 (%)', 'coco/bbox_mAP_75': 'AP75 (%)'}
prepare = '{python} benchmarks/bccd_parts.py ../shared/data/bccd work_dirs/data/bccd'
readme = [
    f'{detector}_{method}'
    for detector in ('faster_rcnn', 'retinanet')
    for method in ('stock', 'longer', 'longest', 'dsn', 'cds', 'full')
]

arms: dict = {}
for detector, name in (('retinanet', 'RetinaNet'), ('faster_rcnn', 'Faster R-CNN')):
    stock, shipped = f'configs/bccd/{detector}_r18_bccd.py', f'configs/cds/{detector}_r18_cds_bccd.py'
    bccd, every, few = '../shared/data/bccd/', seeds, seeds[:3]
    # How it depends on the length of training, and on the number of images, is behind the first six.
    for method, key, config, said, root, epochs, last, chosen in (
        ('stock', '', stock, 'stock', bccd, 10, 8, every),
        ('longer', '', stock, 'stock, 12 epochs', bccd, 12, 10, every),
        ('longest', '', stock, 'stock, 15 epochs', bccd, 15, 12, every),
        ('dsn', '', f'benchmarks/detection/{detector}_dsn.py', 'deep supervision (DSN)', bccd, 10, 8, every),
        ('cds', '', shipped, 'CDS', bccd, 10, 8, every),
        ('full', '', shipped, 'CDS, full-size second view', bccd, 10, 8, every),
        *(
            (method, f'_{length}', config, f'{what}, {said}', root, epochs, last, few)
            for length, said, root, epochs, last in (
                ('5', '5 epochs', bccd, 5, 4),
                ('20', '20 epochs', bccd, 20, 16),
                ('part50', 'half of the images', 'work_dirs/data/bccd/50/', 20, 16),
                ('part25', 'a quarter of the images', 'work_dirs/data/bccd/25/', 37, 30),
                ('part10', 'a tenth of the images', 'work_dirs/data/bccd/10/', 92, 74),
            )
            for method, config, what in (('stock', stock, 'stock'), ('cds', shipped, 'CDS'))
        ),
    ):
        arms[f'{detector}_{method}{key}'] = dict(
            config=config,
            label=f'{name}, {said}',
            baseline=f'{detector}_stock{key}',
            seeds=chosen,
            options={
                'data_root': root,
                'train_cfg.max_epochs': epochs,
                'train_cfg.val_interval': epochs,
                'param_scheduler.1.milestones': f'[{last}]',
                **({'model.neck.view.scale': 1.0, 'model.neck.recompute': False} if method == 'full' else {}),
            },
        )
curves = [
    dict(
        title=name,
        x=what,
        lines={
            label: [(x, f'{detector}_{method}{key}') for x, key in points]
            for label, method in (('stock', 'stock'), ('CDS', 'cds'))
        },
    )
    for detector, name in (('retinanet', 'RetinaNet'), ('faster_rcnn', 'Faster R-CNN'))
    for what, points in (
        ('images (%)', ((10, '_part10'), (25, '_part25'), (50, '_part50'), (100, ''))),
        ('epochs', ((5, '_5'), (10, ''), (20, '_20'))),
    )
]
del detector, name, stock, shipped, bccd, every, few, method, key, config, said, root, epochs, last, chosen
