"""Add contrastive deep supervision to a detector of MMDetection, train it, and use the stock model again.

From top to bottom: a small COCO data set of drawn shapes, a stock config, one line that adds CDS, training, export to
the stock model's checkpoint, predictions of the stock model. The numbered steps are all that a project of your own
needs; `toy_detector` only makes the stock config small enough for a CPU.

  python examples/add_cds_to_your_detector.py
"""

import argparse
from copy import deepcopy
from pathlib import Path

import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner import Runner, find_latest_checkpoint

import mmcds
from mmcds.checkpoints.export import export_checkpoint
from mmcds.datasets.shapes import make_shapes


def toy_detector(data: Path, epochs: int) -> Config:
    """RetinaNet of MMDetection's own config with a small ResNet-18, on the shapes in `data`, without CDS."""
    cfg = get_config('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py')
    cfg.model.backbone.update(base_channels=16, frozen_stages=-1, norm_eval=False, init_cfg=None)
    cfg.model.neck.update(in_channels=[16, 32, 64, 128], out_channels=32)
    norm = dict(type='GN', num_groups=8)
    cfg.model.bbox_head.update(num_classes=4, in_channels=32, feat_channels=32, stacked_convs=2, norm_cfg=norm)

    for split, loader in (('train', cfg.train_dataloader), ('val', cfg.val_dataloader)):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=str(data),
            ann_file=f'annotations/instances_{split}.json',
            data_prefix=dict(img=f'{split}/'),
            metainfo=dict(classes=('circle', 'square', 'triangle', 'cross')),
        )
        for step in loader.dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (128, 128)
    cfg.val_evaluator.ann_file = str(data / 'annotations/instances_val.json')
    cfg.test_dataloader, cfg.test_evaluator = deepcopy(cfg.val_dataloader), deepcopy(cfg.val_evaluator)

    cfg.optim_wrapper.optimizer = dict(type='AdamW', lr=3e-3, weight_decay=0.01)
    cfg.optim_wrapper.clip_grad = dict(max_norm=10)
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=20),
        dict(type='CosineAnnealingLR', T_max=epochs, convert_to_iter_based=True),
    ]
    cfg.train_cfg.max_epochs = epochs
    cfg.default_hooks.logger.interval = 4
    cfg.randomness = dict(seed=0)
    return cfg


def main() -> None:
    """Train with CDS, export, predict with the stock model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--epochs', type=int, default=6, help='default %(default)s')
    parser.add_argument('--data', type=Path, default='data/toy', help='made if missing (default %(default)s)')
    parser.add_argument('--work-dir', default='work_dirs/first_example', help='default %(default)s')
    args = parser.parse_args()

    # 1. Data and a stock config. With a config of your own: cfg = Config.fromfile('my_detector.py')
    if not args.data.exists():
        make_shapes(args.data, train=160, val=40, size=128)
    cfg = toy_detector(args.data, args.epochs)
    cfg.work_dir = args.work_dir

    # 2. Add CDS. Everything else of the config stays as it is.
    cds_cfg = mmcds.add_cds(cfg)

    # 3. Train as always. The log has a loss_cds_* for each supervised stage of the backbone.
    Runner.from_cfg(cds_cfg).train()

    # 4. Export: the stock model's weights, under the stock model's names.
    trained, exported = find_latest_checkpoint(args.work_dir), f'{args.work_dir}/stock.pth'
    kept, dropped = export_checkpoint(trained, exported)
    print(f'{exported}: {kept} tensors kept, {dropped} of CDS left behind')

    # 5. Predict with the stock model, which knows nothing of CDS.
    model = init_detector(cfg, exported, device='cpu')
    image = str(args.data / 'val/00000.jpg')
    found = inference_detector(model, image).pred_instances
    for box, label, score in zip(found.bboxes[:3], found.labels[:3], found.scores[:3], strict=True):
        print(f'{model.dataset_meta["classes"][label]:9} {score:.2f}  {[round(x) for x in box.tolist()]}')

    # The model with CDS predicts the same, to the last bit.
    same = inference_detector(init_detector(cds_cfg, trained, device='cpu'), image).pred_instances
    equal = all(torch.equal(found[key], same[key]) for key in ('bboxes', 'labels', 'scores'))
    print('equal to the model with CDS:', equal)


if __name__ == '__main__':
    main()
