title = 'Results on circuit boards'
answer = """
After 10 epochs the default (one view, weight 0.1) gained 1.9 ± 1.3 points of AP over the stock RetinaNet, in three
seeds. AP50 rose by 3.0 to 8.6, which is not significant; AP75 did not change. Classification errors fell, and
localisation errors rose at an IoU of 0.75 ([by type](results_pcb_errors.md)). At a weight of 0.5, in one seed, AP fell
by 3.7 and AP75 by 7.3. [After 30 epochs](results_converged.md) the default gained more: 5.3 ± 2.0 points of AP.
"""
errors_answer = """
The default cut the errors of class from 8.2 to 5.2 points at an IoU of 0.5, and from 2.0 to 1.0 at 0.75. Errors of
localisation stayed at 0.5 and rose from 37.0 to 43.7 at 0.75.
"""
note = """
DeepPCB (tangsanli5201/DeepPCB, MIT) in COCO's format, its own split: 1,000 training and 500 validation images, six
kinds of defects, seven objects in an image, at 320x320 px. ResNet-18 of half width from scratch, 10 epochs, the rate
divided by ten after 8, in batches of eight: about 55 embeddings to compare.
"""
seeds = [2, 3, 4]
metrics = {'coco/bbox_mAP': 'AP (%)', 'coco/bbox_mAP_50': 'AP50 (%)', 'coco/bbox_mAP_75': 'AP75 (%)'}
rivals = [('retinanet_default', 'retinanet_single_64')]

arms: dict = {}
stock = 'benchmarks/experiments/detection/retinanet_pcb.py'
shipped = 'benchmarks/experiments/detection/retinanet_cds_pcb.py'
one_view = {'model.neck.view.type': 'SingleView', 'model.neck.loss.min_anchors': 64, 'model.neck.loss_weight': 0.5}
two_views = {
    'model.neck.view.type': 'PhotometricView',
    'model.neck.view.scale': 0.5,
    'model.neck.loss.min_anchors': 1,
    'model.neck.loss_weight': 0.5,
}
for key, config, said, changes in (
    ('stock', stock, 'stock', {}),
    ('single_64', shipped, 'CDS, one view, weight 0.5', one_view),
    ('default', shipped, 'CDS, one view, weight 0.1 (the default)', {}),
    ('cds', shipped, 'CDS, two views, weight 0.5', two_views),
):
    options = {'train_cfg.val_interval': 5, 'default_hooks.checkpoint.interval': 1}
    arms[f'retinanet_{key}'] = dict(
        config=config, label=f'RetinaNet, {said}', baseline='retinanet_stock', options={**options, **changes}
    )
del stock, shipped, one_view, two_views, key, config, said, changes, options
