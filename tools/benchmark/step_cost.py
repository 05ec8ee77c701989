"""Time a training step of several configs side by side, and print ratios to the first one with their spread.

The data are random, in memory, and pass each config's own pipeline once, before the clock starts; a step is
preprocessing, forward, backward and optimiser. What the data loader does meanwhile is not timed. Run
it on a quiet machine.

Examples:
  python tools/benchmark/step_cost.py configs/classification/cifar100/resnet18.py \
      configs/classification/cifar100/resnet18_cds.py configs/classification/cifar100/resnet18_cds-fast.py \
      --batch 128 --size 32 32 --out docs/step_cost.md
  python tools/benchmark/step_cost.py mmdet::retinanet/retinanet_r50_fpn_1x_coco.py configs/cds/retinanet_r50_cds.py \
      --batch 2 --size 800 1344
"""

import argparse
import os
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.utils.cli import run


def main() -> None:
    """Build all, time them alternately, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', help='the reference first')
    parser.add_argument('--batch', type=int, default=8, help='images of a batch (default 8)')
    parser.add_argument('--size', type=int, nargs=2, default=(224, 224), metavar=('H', 'W'), help='of the images')
    parser.add_argument('--rounds', type=int, default=7, help='timed rounds (default 7)')
    parser.add_argument('--steps', type=int, default=3, help='steps of each config in a round (default 3)')
    parser.add_argument('--zero-weight', action='store_true', help="also each CDS config at the schedule's weight 0")
    parser.add_argument('--title', default='Cost of a training step', help='heading of the page')
    parser.add_argument('--out', help='the Markdown page to write; an existing one is replaced')
    args = parser.parse_args()
    import torch

    from benchmarks.steps import make_side, ratio_table, time_sides
    from mmcds.apis import has_cds
    from mmcds.utils.config import load_config
    from mmcds.utils.prepare import stem_of

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    sides = []
    for path in args.configs:
        cfg = load_config(path)
        size = (args.size[0], args.size[1])
        sides.append(make_side(stem_of(path), cfg, args.batch, size, device))
        if args.zero_weight and has_cds(cfg):
            sides.append(make_side(f'{stem_of(path)}, weight 0', cfg, args.batch, size, device, weight=0.0))
    time_sides(sides, args.rounds, args.steps, device)
    machine = torch.cuda.get_device_name() if device == 'cuda' else f'{os.cpu_count()} CPU cores, no GPU'
    command = ' '.join(['python tools/benchmark/step_cost.py', *sys.argv[1:]])
    page = (
        f'# {args.title}\n\nWritten by `{command}` on {machine}, {platform.machine()}, torch {torch.__version__}, '
        f'{torch.get_num_threads()} threads; {args.rounds} alternating rounds of {args.steps} steps. Ratios are '
        f'to the first row, round by round.\n\n{ratio_table(sides)}\n'
    )
    print(page)
    if args.out:
        Path(args.out).write_text(page)


if __name__ == '__main__':
    run(main)
