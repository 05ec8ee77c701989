"""Make the small detection data set of drawn shapes that the first examples train on.

Nothing has to be downloaded. The configs of the examples make the default set in data/shapes. This tool makes others:
larger, with another seed or image size, with rotated boxes for mmrotate, or with label maps for mmsegmentation. The
same arguments give the same images.

Examples:
  python tools/make_shapes.py --out data/shapes
  python tools/make_shapes.py --out data/shapes_large --train 4000 --val 500 --size 256
  python tools/make_shapes.py --out data/shapes_rotated --kind rotated
  python tools/make_shapes.py --out data/shapes_pixels --kind pixels
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmcds.cli.tool import run


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('--out', default='data/shapes', help='folder to make (default %(default)s)')
    parser.add_argument('--train', type=int, default=400, help='training images (default %(default)s)')
    parser.add_argument('--val', type=int, default=100, help='validation images (default %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of all images (default %(default)s)')
    parser.add_argument('--size', type=int, default=160, help='side of the images in pixels (default %(default)s)')
    parser.add_argument(
        '--kind',
        default='boxes',
        choices=('boxes', 'rotated', 'pixels'),
        help="boxes: COCO; rotated: long shapes and their rotated boxes in DOTA's format, too; pixels: label maps, too "
        '(default %(default)s)',
    )
    return parser.parse_args()


def main() -> None:
    """Make the data set and say what is in it."""
    args = parse_args()
    from mmcds.datasets.shapes import make_shapes

    start = time.perf_counter()
    root = make_shapes(args.out, args.train, args.val, args.seed, args.size, args.kind)
    seconds = time.perf_counter() - start
    for split in ('train', 'val'):
        content = json.loads((root / 'annotations' / f'instances_{split}.json').read_text())
        print(f'{root}/{split}: {len(content["images"])} images, {len(content["annotations"])} objects')
    print(f'classes: {", ".join(category["name"] for category in content["categories"])}; {seconds:.1f} s')


if __name__ == '__main__':
    run(main)
