"""Turn a checkpoint of the paper's released code into one of mmcds or MMPretrain, and back.

  --to cds         a classifier with its projection heads, for configs/classification/*_cds.py
  --to mmpretrain  the same without the heads, for any stock mmpretrain config
  --to backbone    the backbone alone, for another model
  --to released    the released code's names, from any of the above

Examples:
  python tools/convert.py resnet18_cifar100.pth --to cds --out resnet18_cds.pth
  python tools/convert.py resnet50_imagenet.pth --to backbone --out r50_backbone.pth

A backbone is used in a detector by
  model.backbone.init_cfg=dict(type='Pretrained', checkpoint='r50_backbone.pth')
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmcds.cli.tool import run


def main() -> None:
    """Convert one checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('checkpoint', help='a checkpoint of the released code, mmcds or an mmpretrain ResNet')
    parser.add_argument('--to', required=True, help='cds, mmpretrain, backbone or released')
    parser.add_argument('--out', required=True, help='the file to write')
    parser.add_argument('--force', action='store_true', help='replace a file that is there')
    args = parser.parse_args()
    from mmcds.paper.convert import convert_checkpoint, has_small_stem, load_weights
    from mmcds.utils.checkpoint_files import check_written

    check_written('--out', args.out, {'the checkpoint itself': args.checkpoint})
    if Path(args.out).exists() and not args.force:
        raise ValueError(f'--out={args.out!r} exists; give another name, or --force to replace it')
    count, dropped = convert_checkpoint(args.checkpoint, args.out, args.to)
    print(f'{args.out}: {count} tensors written, {dropped} left behind')
    if args.to == 'backbone' and has_small_stem(load_weights(args.out)):
        print(
            'note: its first convolution is the 3x3 of CIFAR; it fits ResNet_CIFAR, and in another ResNet that '
            'one would stay as initialised',
            file=sys.stderr,
        )


if __name__ == '__main__':
    run(main)
