title = 'Results of longer training'
answer = """
40 epochs of the default (one view, weight 0.1) against 46 of the stock RetinaNet, both on a CPU, five seeds: AP50 rose
by 2.8 ± 2.6 points; AP (+0.6 ± 1.3) and AP75 (-1.3 ± 3.9) did not change significantly. Against 40 stock epochs on a
GPU: AP +1.5 ± 0.8 and AP50 +4.1 ± 2.4 with the default, on a CPU; +1.8 ± 0.7 and +5.1 ± 1.8 with a weight of 0.5, on
the same GPU.
"""
note = """
BCCD (Shenggan/BCCD_Dataset, MIT) in COCO's format: 292 training and 72 validation images at 256x192 px. ResNet-18 of
half width from scratch, 40 epochs, the rate divided by ten after 32 (46: after 37). A step with one view takes 1.00 to
1.03 of the stock's time on a CPU and 1.02 to 1.14 on a GPU ([cost](cost.md)), so 46 epochs of the stock model take at
least as long as 40 with CDS.

Limits: one view, the weight of 0.5 and the 40 epochs come from an earlier experiment. It used these validation images
and three of these seeds. The stock model still improves with more epochs. The rows of weight 0.1 and of 46 epochs ran
on a CPU, those of weight 0.5 and of 40 stock epochs on a GPU. So differences between these two groups include the
change of machine, and minutes and memory cannot be compared between them.
"""
seeds = [2, 3, 4, 5, 6]
metrics = {'coco/bbox_mAP': 'AP (%)', 'coco/bbox_mAP_50': 'AP50 (%)', 'coco/bbox_mAP_75': 'AP75 (%)'}
rivals = [
    ('retinanet_tenth', 'retinanet_cpu'),
    ('retinanet_tenth', 'retinanet_longer'),
    ('retinanet_single', 'retinanet_dsn'),
    ('retinanet_places', 'retinanet_single'),
]

arms: dict = {}
retinanet, faster_rcnn = 'configs/bccd/retinanet_r18_bccd.py', 'configs/bccd/faster_rcnn_r18_bccd.py'
one_view = 'benchmarks/experiments/detection/retinanet_one_view.py'
for key, config, label, length, milestone, changes in (
    ('retinanet_stock', retinanet, 'RetinaNet, stock', 40, 32, {}),
    # As retinanet_stock, whose records are of an H200.
    ('retinanet_cpu', retinanet, 'RetinaNet, stock, on a CPU', 40, 32, {}),
    ('retinanet_longer', retinanet, 'RetinaNet, stock, 46 epochs', 46, 37, {}),
    ('retinanet_single', one_view, 'RetinaNet, CDS, one view, weight 0.5, min_anchors=1', 40, 32, {}),
    (
        'retinanet_places',
        one_view,
        'RetinaNet, CDS, one view, weight 0.5, min_anchors=1, jittered and near boxes',
        40,
        32,
        {'model.neck.sampler.jitter': 0.2, 'model.neck.sampler.near': 2},
    ),
    (
        'retinanet_tenth',
        'configs/cds/retinanet_r18_cds_bccd.py',
        'RetinaNet, CDS, one view, weight 0.1 (the default)',
        40,
        32,
        {},
    ),
    (
        'retinanet_dsn',
        'benchmarks/experiments/detection/retinanet_dsn.py',
        'RetinaNet, deep supervision (DSN)',
        40,
        32,
        {},
    ),
    ('faster_rcnn_stock', faster_rcnn, 'Faster R-CNN, stock, 20 epochs', 20, 16, {}),
    (
        'faster_rcnn_tenth',
        'configs/cds/faster_rcnn_r18_cds_bccd.py',
        'Faster R-CNN, CDS, the default, 20 epochs',
        20,
        16,
        {},
    ),
):
    options = {
        'data_root': 'data/bccd/',
        'train_cfg.max_epochs': length,
        'train_cfg.val_interval': length // 4,
        'default_hooks.checkpoint.interval': length // 4,
        'param_scheduler.1.milestones': f'[{milestone}]',
    }
    detector = key.rpartition('_')[0]
    arms[key] = dict(config=config, label=label, baseline=f'{detector}_stock', options={**options, **changes})
del retinanet, faster_rcnn, one_view, key, config, label, length, milestone, changes, options, detector
