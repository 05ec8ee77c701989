title = 'Results on circuit boards'
answer = """
ANSWER
"""
note = """
DeepPCB (tangsanli5201/DeepPCB, MIT) in COCO's format, its own split: 1,000 training and 500 validation images, six
kinds of defects, seven objects in an image, at 320x320 px. ResNet-18 of half width from scratch, 10 epochs, the rate
divided by ten after 8, in batches of eight: about 55 embeddings to compare.
"""
seeds = [2, 3, 4]
metrics = {'coco/bbox_mAP': 'AP (%)', 'coco/bbox_mAP_50': 'AP50 (%)', 'coco/bbox_mAP_75': 'AP75 (%)'}
rivals = [('retinanet_single_64', 'retinanet_cds')]

arms: dict = {}
stock = 'benchmarks/experiments/detection/retinanet_pcb.py'
shipped = 'benchmarks/experiments/detection/retinanet_cds_pcb.py'
one_view = {'model.neck.view.type': 'SingleView', 'model.neck.loss.min_anchors': 64}
for key, config, said, changes in (
    ('stock', stock, 'stock', {}),
    ('single_64', shipped, 'CDS, one view, min_anchors=64', one_view),
    ('cds', shipped, 'CDS, two views', {'model.neck.view.type': 'PhotometricView', 'model.neck.loss.min_anchors': 1}),
):
    options = {'train_cfg.val_interval': 5, 'default_hooks.checkpoint.interval': 1}
    arms[f'retinanet_{key}'] = dict(
        config=config, label=f'RetinaNet, {said}', baseline='retinanet_stock', options={**options, **changes}
    )
del stock, shipped, one_view, key, config, said, changes, options
