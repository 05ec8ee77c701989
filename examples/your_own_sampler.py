"""Add a sampler of your own: a class of two methods, a registry of your project, its name in the config.

A sampler says what is contrasted. This one takes the feature at the centre of each annotated object, where mmcds'
InstanceSampler pools its box. A projector, a view or a loss of your own is added in the same way
(docs/extending.md).

  python examples/your_own_sampler.py
"""

import argparse
from pathlib import Path

import torch
from add_cds_to_your_detector import toy_detector
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch import Tensor

import mmcds
from mmcds.analysis.runs.run_log import read_run
from mmcds.datasets.shapes import make_shapes
from mmcds.models import Sampler, Samples, ViewPair

# In a package of your own these lines stand in myproject/__init__.py; locations=['myproject'] then lets a config name
# the class without importing it.
MODELS = Registry('model', parent=MMENGINE_MODELS, scope='myproject')


@MODELS.register_module()
class CentreSampler(Sampler):
    """The features at the centres of annotated objects; the class of an object is the label."""

    #: The first column of a place is its image in the batch, the others are pixels.
    indexed_by_image = True
    in_pixels = True

    def sample(self, views: ViewPair) -> Samples:
        """Where to look: once per step, the centre of each object in both views.

        Args:
            views (ViewPair): Boxes and labels of the batch in both views.

        Returns:
            Samples: ``rois`` are (M, 3) as (image, x, y) in pixels of each view's input.
        """
        counts = torch.tensor([len(each) for each in views.labels])
        labels = torch.cat(views.labels)
        image = torch.arange(len(counts)).repeat_interleave(counts).to(labels.device)
        rois = []
        for boxes in map(torch.cat, views.boxes):
            rois.append(torch.cat([image[:, None].to(boxes), (boxes[:, :2] + boxes[:, 2:]) / 2], 1))
        return Samples((rois[0], rois[1]), labels, is_anchor=torch.ones_like(labels, dtype=torch.bool))

    def crop(self, feature: Tensor, rois: Tensor, input_size: tuple[int, int]) -> Tensor:
        """What is there: for each tap and view, the cell of the feature map that holds each centre.

        Args:
            feature (Tensor): Features of a tap (N, C, h, w).
            rois (Tensor): What ``sample`` returned for this view, (M, 3).
            input_size (tuple[int, int]): (H, W) of the view's input, in pixels.

        Returns:
            Tensor: (M, C, 1, 1), float32.
        """
        image, x, y = rois.unbind(1)
        (height, width), (h, w) = input_size, feature.shape[2:]
        row = (y * h / height).long().clamp(0, h - 1)
        column = (x * w / width).long().clamp(0, w - 1)
        return feature[image.long(), :, row, column].float()[:, :, None, None]


def main() -> None:
    """Train a few steps with it and print the losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--iterations', type=int, default=40, help='default %(default)s')
    parser.add_argument('--data', type=Path, default='data/toy', help='made if missing (default %(default)s)')
    parser.add_argument('--work-dir', default='work_dirs/own_sampler', help='default %(default)s')
    args = parser.parse_args()

    if not args.data.exists():
        make_shapes(args.data, train=160, val=40, size=128)
    cfg = toy_detector(args.data, epochs=1)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=args.iterations, val_interval=args.iterations)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=args.iterations)
    cfg.log_processor.by_epoch = False
    cfg.param_scheduler = []
    cfg.work_dir = args.work_dir

    cfg = mmcds.add_cds(cfg, sampler=dict(type='myproject.CentreSampler'))
    runner = Runner.from_cfg(cfg)
    runner.train()

    print('sampler:', type(runner.model.neck.cds.sampler).__name__)
    log = read_run(args.work_dir)
    for name in (key for key in log.keys() if key.startswith('loss_cds')):  # noqa: SIM118, a RunLog is no dict
        values = log.series(name)[1]
        print(f'{name}: {values[0]:.3f} -> {values[-1]:.3f}')


if __name__ == '__main__':
    main()
