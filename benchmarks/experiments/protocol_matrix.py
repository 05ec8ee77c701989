title = "The paper's protocol in small: a backbone pre-trained with CDS, then a detector"
answer = """
One seed. RetinaNet on a backbone that CDS pre-trained gained 0.1 points of AP and 4.0 of AP50 over the stock
backbone, and lost 2.3 of AP75. CDS in the detector, on the stock backbone, gained 1.0 and 11.1, and lost 2.8.
"""
note = """
Backbones (ResNet-18 of half width) are pre-trained on photos of groceries (marcusklasson/GroceryStoreDataset, MIT: 81
classes, 2,640 images, 96 px, 15 epochs; accuracy on the test split). Then they go into RetinaNet on BCCD, as in the
paper's detection tables, with and without CDS (two views, weight 0.5) in the detector. All other layers start from the
same weights in all arms of a seed. top-1 is on the groceries, AP on BCCD. DSN and Faster R-CNN were not run.
"""
seeds = [0, 1, 2]
metrics = {
    'accuracy/top1': 'top-1 (%)',
    'coco/bbox_mAP': 'AP (%)',
    'coco/bbox_mAP_50': 'AP50 (%)',
    'coco/bbox_mAP_75': 'AP75 (%)',
}
prepare = '{python} benchmarks/data/grocery.py data/grocery.tar work_dirs/data/grocery'

data = {'data_root': 'data/bccd/', 'train_cfg.val_interval': 10}
stock, shipped = 'configs/bccd/retinanet_r18_bccd.py', 'benchmarks/experiments/detection/retinanet_two_views.py'
arms = dict(
    pre_stock=dict(config='benchmarks/experiments/pretraining/stock.py', label='pre-training, baseline'),
    pre_cds=dict(config='benchmarks/experiments/pretraining/cds.py', label='pre-training, CDS', baseline='pre_stock'),
)
for backbone, origin in (('stock', 'the baseline'), ('cds', 'CDS')):
    for key, config, name in (('', stock, 'RetinaNet'), ('_cds', shipped, 'RetinaNet with CDS')):
        arms[f'retinanet_{backbone}{key}'] = dict(
            config=config,
            label=f'{name}, backbone from {origin}',
            baseline='retinanet_stock',
            backbone=f'pre_{backbone}',
            options=data,
        )
arms['retinanet_scratch'] = dict(
    config=stock, label='RetinaNet from scratch', baseline='retinanet_stock', options=data, seeds=[0]
)
del data, stock, shipped, backbone, origin, key, config, name
