title = 'Contrast inside detector training, BCCD'
note = """BCCD: 292 training and 72 validation images at 256x192 px, ten epochs from scratch (configs/bccd). Some cells
are unlabelled, so AP is noisy. "weight" is that of every tap; what a row does not name is the default (backbone taps,
weight 0.1, annotated instances, half-size second view, temperature 0.07). A difference of less than its interval shows
nothing; two seeds are for screening only."""
seeds = [0, 1, 2, 3, 4, 5, 6, 7]
metrics = {'coco/bbox_mAP': 'AP', 'coco/bbox_mAP_50': 'AP50'}
scale = 100

screen = [0, 1]
arms = dict()
for detector, name in (('retinanet', 'RetinaNet'), ('faster_rcnn', 'Faster R-CNN')):
    data = {'data_root': '../shared/data/bccd/', 'train_cfg.val_interval': 10}
    ours = dict(config=f'configs/cds/{detector}_r18_cds_bccd.py', baseline=detector)
    three = '[neck.0,neck.1,neck.2]'
    arms[detector] = dict(config=f'configs/bccd/{detector}_r18_bccd.py', label=f'{name}, stock', options=data)
    changes = {
        'cds': ('CDS, default', {}),
        'stop': ('nothing learns through the second view', {'stop_gradient': True}),
        'weight': ('weight 0.5', {'loss_weight': 0.5}),
        'neck': ('weight 0.5, taps on the FPN', {'loss_weight': 0.5, 'taps': three}),
        'background': ('weight 0.5, 16 background boxes per image', {'loss_weight': 0.5, 'sampler.background': 16}),
        'neck_background': (
            'weight 0.5, taps on the FPN, 16 background boxes per image',
            {'loss_weight': 0.5, 'taps': three, 'sampler.background': 16},
        ),
        'warm': ('weight 0.5, temperature 0.2', {'loss_weight': 0.5, 'loss.temperature': 0.2}),
    }
    for key, (label, change) in changes.items():
        options = {f'model.neck.{field}': value for field, value in change.items()}
        for part, kind in (('sampler', 'InstanceSampler'), ('loss', 'ContrastiveLoss')):
            if any(field.startswith(f'{part}.') for field in change):
                options[f'model.neck.{part}.type'] = kind
        arms[f'{detector}_{key}'] = dict(ours, label=f'{name}, {label}', options={**data, **options}, seeds=screen)
del detector, name, data, ours, three, changes, key, label, change, options, part, kind, screen
