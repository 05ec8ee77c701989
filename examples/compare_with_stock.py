"""Train a detector with and without CDS on the same seeds and compare AP, AP50 and the time of a step.

A run on drawn shapes proves nothing: it shows how to compare. On your own data, train to the end of the schedule, take
at least three seeds, and give the stock detector the time that CDS takes, too (docs/results_detection.md).

  python examples/compare_with_stock.py
"""

import argparse
from pathlib import Path

from add_cds_to_your_detector import toy_detector
from mmengine.runner import Runner

import mmcds
from mmcds.analysis.pictures.save import save_figure
from mmcds.analysis.runs.curves import choose_losses, choose_metrics, plot_runs
from mmcds.analysis.runs.results_table import pair_table
from mmcds.analysis.runs.run_log import read_runs
from mmcds.datasets.shapes import make_shapes


def main() -> None:
    """Train both for each seed, print a table, draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--epochs', type=int, default=6, help='default %(default)s')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1], help='default %(default)s')
    parser.add_argument('--data', type=Path, default='data/toy', help='made if missing (default %(default)s)')
    parser.add_argument('--work-dir', type=Path, default='work_dirs/comparison', help='default %(default)s')
    args = parser.parse_args()

    if not args.data.exists():
        make_shapes(args.data, train=160, val=40, size=128)
    pairs = []
    for seed in args.seeds:
        cfg = toy_detector(args.data, args.epochs)
        cfg.randomness = dict(seed=seed)
        # Both detectors see the same images in the same order.
        cfg.custom_hooks = [dict(type='mmcds.EpochSeedHook')]
        pair = {'stock': cfg, 'cds': mmcds.add_cds(cfg)}
        for name, each in pair.items():
            run = f'{name}_seed{seed}'
            each.work_dir = str(args.work_dir / run)
            # A second Runner with the same name in one process writes into the first one's log.
            each.experiment_name = each.visualizer.name = run
            Runner.from_cfg(each).train()
        pairs.append((pair['stock'].work_dir, pair['cds'].work_dir))

    # Values of the last epoch, not of the best one; in brackets the change by CDS.
    print(pair_table(pairs))
    runs = read_runs([path for pair in pairs for path in pair])
    losses = choose_losses(runs, r'^loss_(cls|bbox|cds)')
    title = 'A run on toy data proves nothing'
    figure = plot_runs(runs, choose_metrics(runs), losses, title=title)
    print(f'{save_figure(figure, args.work_dir / "curves.png")}: losses and AP. {title}; see this file for what would.')


if __name__ == '__main__':
    main()
