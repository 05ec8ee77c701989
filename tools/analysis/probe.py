r"""Probe what each tap of a trained model has learned: nearest neighbours and a linear classifier.

The classifiers learn from features of the training images and are scored on features of the test images. Both pass the
test pipeline. A classifier's feature is the average of a tap's map over the image, a detector's the average over an
annotated object. If the checkpoint has projectors, their embeddings are probed as well.

Examples:
  python tools/analysis/probe.py configs/classification/cifar100/resnet18_cds.py CHECKPOINT
  python tools/analysis/probe.py configs/cds/faster_rcnn_r18_cds_shapes.py CHECKPOINT --taps backbone.3 neck.0
  python tools/analysis/probe.py mmpretrain::resnet/resnet18_8xb16_cifar10.py CHECKPOINT \
      --cfg-options 'model.backbone.out_indices=(0,1,2,3)'
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run


def parse_args() -> argparse.Namespace:
    """The command line."""
    from mmcds.cli.named_models import model_parser

    parser = model_parser(__doc__)
    parser.add_argument('--taps', nargs='+', help="such as backbone.2 neck.0 (default the CDSNeck's, or all stages)")
    parser.add_argument('--neighbours', type=int, default=20, help='k of the k nearest (default %(default)s)')
    parser.add_argument(
        '--max-train', type=int, default=5000, help='training images, spread over the set; 0: all (default %(default)s)'
    )
    parser.add_argument('--max-test', type=int, default=5000, help='the same of test images (default %(default)s)')
    parser.add_argument('--out', default='probe.json', help='.json file to write (default %(default)s)')
    return parser.parse_args()


def main() -> None:
    """Extract features, probe, print, write."""
    args = parse_args()
    import json
    from dataclasses import asdict

    from mmcds.analysis.probing.probe_checkpoint import probe_checkpoint
    from mmcds.analysis.probing.probes import table
    from mmcds.cli.named_models import named_models
    from mmcds.utils.extras import need_analysis

    need_analysis('sklearn')
    if not args.out.endswith('.json'):
        raise ValueError(f'--out={args.out!r} is no JSON file; give a name that ends with .json')
    (model,) = named_models(args)
    probes, about = probe_checkpoint(
        model.cfg, model.checkpoint, args.taps, args.neighbours, args.max_train, args.max_test, args.device
    )
    print(table(probes, about, args.neighbours))
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    head = {'config': args.config, 'checkpoint': args.checkpoint, 'k': args.neighbours}
    out.write_text(json.dumps({**head, **about, 'probes': [asdict(each) for each in probes]}, indent=2) + '\n')
    print(out)


if __name__ == '__main__':
    run(main)
