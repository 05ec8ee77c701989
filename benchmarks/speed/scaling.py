"""How the cost of CDS grows with batch, taps, instances per image and queue length: a table and a plot each.

Each point times the stock step and the CDS step alternately on random images; what is plotted is what CDS adds, in
milliseconds, and the ratio of the steps. Run it on a quiet machine.

Example:
  python benchmarks/speed/scaling.py configs/bccd/faster_rcnn_r18_bccd.py --size 192 256 --out docs/cost/growth.md
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.speed.headline import Headline, machine, markdown_table, write_headlines
from mmcds.cli.tool import run

#: Axis -> values; the others stay at BASE.
SWEEPS: dict[str, tuple[int, ...]] = {
    'batch': (2, 4, 8, 16),
    'taps': (1, 2, 3, 4, 6),
    'instances per image': (1, 8, 32, 64),
    'queue': (0, 1024, 4096, 16384),
}
BASE = {'batch': 4, 'taps': 4, 'instances per image': 8, 'queue': 0}
#: Two views, as when docs/cost/growth.md was measured.
VIEW = dict(type='PhotometricView', scale=0.5)
TAPS = ['backbone.3', 'backbone.2', 'backbone.1', 'backbone.0', 'neck.0', 'neck.1']


def point(config: str, size: tuple[int, int], axis: str, value: int, rounds: int, steps: int) -> tuple[float, ...]:
    """Times of one point: stock and added seconds (medians), ratio with its lowest and highest value."""
    import torch

    from benchmarks.speed.steps import make_side, time_sides
    from mmcds.apis import add_cds
    from mmcds.config.load_config import load_config

    now = {**BASE, axis: value}
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    stock = load_config(config)
    cds = add_cds(stock, view=VIEW, taps=TAPS[: now['taps']], queue_length=now['queue'])
    boxes = now['instances per image']
    sides = [make_side(name, cfg, now['batch'], size, device, boxes=boxes) for name, cfg in (('', stock), ('cds', cds))]
    time_sides(sides, rounds, steps, device)
    base, ours = (np.array(side.seconds) for side in sides)
    ratio = ours / base
    return (*(float(np.median(x)) for x in (base, ours - base, ratio)), float(ratio.min()), float(ratio.max()))


def draw(found: dict[str, list[tuple[float, ...]]], out: Path) -> None:
    """One panel per axis: what CDS adds, with the stock step and a straight line to compare with."""
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(found), figsize=(4 * len(found), 3.2), layout='constrained')
    for panel, (axis, rows) in zip(panels, found.items(), strict=True):
        values = SWEEPS[axis]
        panel.plot(values, [1e3 * row[0] for row in rows], 'o--', color='tab:gray', label='stock step')
        panel.plot(values, [1e3 * row[1] for row in rows], 'o-', color='tab:blue', label='added by CDS')
        panel.set(xlabel=axis, ylabel='ms', ylim=(0, None))
        panel.spines[['top', 'right']].set_visible(False)
    panels[0].legend(frameon=False)
    figure.savefig(out, dpi=120)
    plt.close(figure)


def table(axis: str, rows: Sequence[tuple[float, ...]]) -> str:
    """A Markdown table of one axis."""
    lines = []
    for value, (base, added, ratio, low, high) in zip(SWEEPS[axis], rows, strict=True):
        cells = [str(value), f'{base * 1e3:.0f}', f'{added * 1e3:.0f}', f'{ratio:.2f}', f'{low:.2f} .. {high:.2f}']
        lines.append(cells)
    return markdown_table([axis, 'stock, ms', 'added by CDS, ms', 'ratio (median)', 'lowest .. highest'], lines)


def growth(axis: str, rows: Sequence[tuple[float, ...]]) -> Headline:
    """Exponent of what CDS adds between the second and the last value of an axis; 1 is linear."""
    values = SWEEPS[axis]
    added = [max(row[1], 1e-4) for row in rows]  # below a tenth of a millisecond it is the clock
    # What is lost in the clock's noise has no exponent that says anything.
    settled = all(row[1] > 0.02 * row[0] for row in (rows[1], rows[-1]))
    exponent = float(np.log(added[-1] / added[1]) / np.log(values[-1] / values[1]))
    return Headline.of(f'growth: {axis}', exponent if settled else float('nan'))


def main() -> None:
    """Time all sweeps, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a stock detector with a neck')
    parser.add_argument('--size', type=int, nargs=2, default=(192, 256), metavar=('H', 'W'), help='of the images')
    parser.add_argument('--rounds', type=int, default=5, help='timed rounds of each point (default 5)')
    parser.add_argument('--steps', type=int, default=1, help='steps of each side in a round (default 1)')
    parser.add_argument('--out', type=Path, required=True, help='the Markdown page; the plot goes beside it')
    parser.add_argument('--headlines', help='the JSON file to write for cost.py')
    args = parser.parse_args()
    size = (args.size[0], args.size[1])
    found: dict[str, list[tuple[float, ...]]] = {}
    for axis, values in SWEEPS.items():
        found[axis] = []
        for value in values:
            found[axis].append(point(args.config, size, axis, value, args.rounds, args.steps))
            print(f'{axis} {value}: {found[axis][-1][2]:.2f} x', flush=True)
    picture = args.out.with_suffix('.png')
    draw(found, picture)
    parts = [
        '# How the cost grows',
        f'Written by `python benchmarks/speed/scaling.py {" ".join(sys.argv[1:])}` on {machine()}; '
        f'{size[0]} x {size[1]} px, {args.rounds} alternating rounds. What is not '
        f'varied: {", ".join(f"{key} {value}" for key, value in BASE.items())}. CDS has two views here, the second of '
        'half the side. Taps are added in the order '
        f'{", ".join(TAPS)}; from the fifth on the second view passes the neck, too. Ranks: [gather.md](gather.md).',
        f'![milliseconds against batch, taps, instances and queue]({picture.name})',
        *(table(axis, rows) for axis, rows in found.items()),
    ]
    args.out.write_text('\n\n'.join(parts) + '\n')
    write_headlines(args.headlines, [growth(axis, rows) for axis, rows in found.items()])


if __name__ == '__main__':
    run(main)
