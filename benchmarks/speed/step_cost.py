r"""Time a training step of several configs side by side, and print ratios to the first one with their spread.

The data are random, in memory, and pass each config's own pipeline once, before the clock starts; a step is
preprocessing, forward, backward and optimiser. What the data loader does meanwhile is not timed (data.py does). Run
it on a quiet machine.

Examples:
  python benchmarks/speed/step_cost.py configs/classification/cifar100/resnet18.py \
      configs/classification/cifar100/resnet18_cds.py configs/classification/cifar100/resnet18_cds-fast.py \
      --batch 128 --size 32 32 --out docs/cost/step_cifar.md
  python benchmarks/speed/step_cost.py mmdet::retinanet/retinanet_r50_fpn_1x_coco.py configs/cds/retinanet_r50_cds.py \
      --batch 2 --size 800 1344 --memory --vary 'full-size view: view.type=PhotometricView view.scale=1.0'
"""

import argparse
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run


def variant(text: str) -> tuple[str, dict[str, object]]:
    """'name: key=value ...' as a name and arguments of the CDSNeck.

    Raises:
        ValueError: If the text has another form.
    """
    import yaml

    name, colon, options = text.partition(':')
    pairs = [option.partition('=') for option in options.split()]
    if not colon or not pairs or not all(sign for _, sign, _ in pairs):
        raise ValueError(f"--vary {text!r} is not of the form 'name: key=value ...', such as 'full: view.scale=1.0'")
    return name, {f'model.neck.{key}': yaml.safe_load(value) for key, _, value in pairs}


def main() -> None:
    """Build all, time them alternately, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', help='the reference first')
    parser.add_argument('--batch', type=int, default=8, help='images of a batch (default 8)')
    parser.add_argument('--size', type=int, nargs=2, default=(224, 224), metavar=('H', 'W'), help='of the images')
    parser.add_argument('--rounds', type=int, default=7, help='timed rounds (default 7)')
    parser.add_argument('--steps', type=int, default=3, help='steps of each config in a round (default 3)')
    parser.add_argument('--zero-weight', action='store_true', help="also the second config at the schedule's weight 0")
    parser.add_argument(
        '--vary', action='append', default=[], metavar="'NAME: KEY=VALUE ...'", help='also the second config so changed'
    )
    parser.add_argument('--memory', action='store_true', help='also the peak memory, in extra processes')
    parser.add_argument('--title', default='Cost of a training step', help='heading of the page')
    parser.add_argument('--out', help='the Markdown page to write; an existing one is replaced')
    parser.add_argument('--headlines', help='the JSON file to write for cost.py')
    args = parser.parse_args()
    import torch

    from benchmarks.speed.headline import Headline, machine, write_headlines
    from benchmarks.speed.steps import count_kernels, make_side, measure_memory, ratio_table, ratios_of, time_sides
    from mmcds.cli.prepare import stem_of
    from mmcds.config.load_config import load_config

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    size = (args.size[0], args.size[1])
    sides = [make_side(stem_of(path), load_config(path), args.batch, size, device) for path in args.configs]
    if args.zero_weight:
        cfg = load_config(args.configs[1])
        sides.append(make_side('weight 0', cfg, args.batch, size, device, weight=0.0))
    for name, options in map(variant, args.vary):
        cfg = load_config(args.configs[1])
        cfg.merge_from_dict(options)
        sides.append(make_side(name, cfg, args.batch, size, device))
    time_sides(sides, args.rounds, args.steps, device)
    if device == 'cuda':
        count_kernels(sides)
    if args.memory:
        measure_memory(sides)
    command = shlex.join(['python', 'benchmarks/speed/step_cost.py', *sys.argv[1:]])
    page = (
        f'# {args.title}{", on a GPU" if device == "cuda" else ""}\n\nWritten by `{command}` '
        f'on {machine()}; batch {args.batch}, {size[0]} x {size[1]} px, {args.rounds} alternating rounds of '
        f'{args.steps} steps. Ratios are to the first row, round by round; operations are those of forward and '
        f'backward pass, to the first row.\n\n{ratio_table(sides)}\n'
    )
    print(page)
    if args.out:
        Path(args.out).write_text(page)
    found = [Headline.of(f'time: {side.name}', ratios_of(side, sides[0])) for side in sides]
    found += [Headline.of(f'operations: {side.name}', side.flops / sides[0].flops) for side in sides]
    found += [Headline.of(f'memory: {side.name}', side.memory / sides[0].memory) for side in sides if side.memory]
    found += [Headline.of(f'kernels: {side.name}', side.kernels / sides[0].kernels) for side in sides if side.kernels]
    write_headlines(args.headlines, found)


if __name__ == '__main__':
    run(main)
