"""Draw reliability diagrams of one or several classifiers, with their expected calibration error.

First write the predictions on a labelled set, then draw them side by side.

Examples:
  python tools/test.py configs/classification/cifar100/resnet18.py CHECKPOINT --out stock.pkl
  python tools/test.py configs/classification/cifar100/resnet18_cds.py CHECKPOINT --out cds.pkl
  python tools/analysis/reliability.py stock.pkl cds.pkl --names stock contrastive --out reliability.png
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('predictions', nargs='+', help='.pkl files that tools/test.py --out wrote')
    parser.add_argument('--out', default='reliability.png', help='.png, .svg or .pdf to write (default %(default)s)')
    parser.add_argument('--names', nargs='+', help="names of the runs (default the files')")
    parser.add_argument('--bins', type=int, default=15, help='bins of the confidence (default %(default)s)')
    parser.add_argument('--title', default='', help='title of the figure')
    return parser.parse_args()


def main() -> None:
    """Read the predictions, draw, write."""
    args = parse_args()
    names = args.names or [Path(path).stem for path in args.predictions]
    if len(names) != len(args.predictions):
        raise ValueError(f'--names has {len(names)} names for {len(args.predictions)} files; give one for each')
    from mmcds.analysis.metrics.predictions import reliability_of_file
    from mmcds.analysis.pictures.reliability import plot_reliability
    from mmcds.analysis.pictures.save import save_figure

    runs = [(name, reliability_of_file(path, args.bins)) for name, path in zip(names, args.predictions, strict=True)]
    out = save_figure(plot_reliability(runs, args.title), args.out)
    for name, bins in runs:
        print(
            f'{name}: ECE {bins.expected_error:.2f} %, maximum error {bins.maximum_error:.2f} %, '
            f'top-1 {bins.top1:.2f} % of {bins.counts.sum()} images'
        )
    print(out)


if __name__ == '__main__':
    run(main)
