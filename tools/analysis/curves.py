"""Draw the losses and metrics of one or several runs in one figure.

The logs of a resumed run are joined. A loss that a run does not have is left out for that run.

Examples:
  python tools/analysis/curves.py work_dirs/faster_rcnn_r18_shapes --out curves.png
  python tools/analysis/curves.py work_dirs/stock work_dirs/cds --names stock contrastive --losses 'loss_(cls|cds)'
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
    parser.add_argument('runs', nargs='+', help='work directories, or scalars.json files')
    parser.add_argument('--out', default='curves.png', help='.png, .svg or .pdf to write (default %(default)s)')
    parser.add_argument('--names', nargs='+', help="names in the legend (default the folders' names)")
    parser.add_argument('--metrics', help='regular expression of metrics (default AP and AP50, or accuracy)')
    parser.add_argument('--losses', help='regular expression of losses (default all)')
    parser.add_argument('--smooth', type=int, default=5, help='values in the mean of a loss (default %(default)s)')
    parser.add_argument('--title', default='', help='title of the figure')
    return parser.parse_args()


def main() -> None:
    """Read the runs, draw, write."""
    args = parse_args()
    from mmcds.analysis.pictures.save import save_figure
    from mmcds.analysis.runs.curves import choose_losses, choose_metrics, plot_runs
    from mmcds.analysis.runs.run_log import read_runs

    runs = read_runs(args.runs, args.names)
    metrics, losses = choose_metrics(runs, args.metrics), choose_losses(runs, args.losses)
    out = save_figure(plot_runs(runs, metrics, losses, args.smooth, args.title), args.out)
    unreadable = sum(each.unreadable for each in runs)
    note = f'; {unreadable} unreadable lines left out' if unreadable else ''
    print(f'{out}: {len(metrics)} metrics and {len(losses)} losses of {len(runs)} runs{note}')


if __name__ == '__main__':
    run(main)
