title = "The paper's protocol in small: a backbone pre-trained with CDS, then a detector"
note = """Backbones (ResNet-18 of half width) are pre-trained on photos of groceries (81 classes, 2,640 images, 96 px,
15 epochs; accuracy on the test split), then go into detectors on BCCD, as in the paper's detection tables. What the
backbone does not bring starts from the same weights in all arms of a seed."""
seeds = [0, 1, 2]
metrics = {'accuracy/top1': 'top-1 (%)', 'coco/bbox_mAP': 'AP (%)', 'coco/bbox_mAP_50': 'AP50 (%)'}
prepare = '{python} benchmarks/grocery.py ../shared/data/grocery.tar work_dirs/data/grocery'

data = {'data_root': '../shared/data/bccd/', 'train_cfg.val_interval': 10}
arms = dict(
    pre_stock=dict(config='benchmarks/pretraining/stock.py', label='pre-training, baseline'),
    pre_cds=dict(config='benchmarks/pretraining/cds.py', label='pre-training, CDS', baseline='pre_stock'),
)
for detector, name in (('retinanet', 'RetinaNet'), ('faster_rcnn', 'Faster R-CNN')):
    stock = f'{detector}_stock'
    for method, said in (('stock', 'the baseline'), ('cds', 'CDS')):
        arms[f'{detector}_{method}'] = dict(
            config=f'configs/bccd/{detector}_r18_bccd.py',
            label=f'{name}, backbone from {said}',
            baseline=stock,
            backbone=f'pre_{method}',
            options=data,
        )
    arms[f'{detector}_cds_cds'] = dict(
        config=f'configs/cds/{detector}_r18_cds_bccd.py',
        label=f'{name} with CDS, backbone from CDS',
        baseline=stock,
        backbone='pre_cds',
        options=data,
    )
    arms[f'{detector}_scratch'] = dict(
        config=f'configs/bccd/{detector}_r18_bccd.py',
        label=f'{name}, from scratch',
        baseline=stock,
        options=data,
    )
del data, detector, name, stock, method, said
