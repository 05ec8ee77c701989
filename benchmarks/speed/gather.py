"""Time the gather of embeddings over ranks and the whole loss, with backward, beside a plain all-reduce of the bytes.

The ranks are gloo processes of this machine. Every rank holds so many rows of 128 float32, all gather all; the
all-reduce is of what is gathered. The three alternate, and what is timed is the slowest rank.

Examples:
  python benchmarks/speed/gather.py --out docs/cost/gather.md
  python benchmarks/speed/gather.py --ranks 2 --rows 64 1024 --width 512
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
import torch.distributed as dist

from benchmarks.speed.headline import Headline, machine, markdown_table, write_headlines
from mmcds.cli.tool import run
from mmcds.models.losses import ContrastiveLoss
from mmcds.utils.dist import gather_counts, gather_rows


def gather_and_back(rows: torch.Tensor) -> None:
    """What the loss does with its embeddings: numbers, rows, and the gradient's way back."""
    gathered = gather_rows(rows, gather_counts(len(rows), rows.device))
    gathered.backward(torch.ones_like(gathered))


def loss_and_back(rows: torch.Tensor, labels: torch.Tensor) -> None:
    """The whole contrast of a tap: gather, SupCon over all ranks, backward."""
    half = len(rows) // 2
    ids = torch.arange(half).repeat(2)
    loss = ContrastiveLoss()(torch.nn.functional.normalize(rows, dim=1), labels, ids, torch.ones_like(labels) > 0)
    loss.backward()


def seconds_of(work: Callable[[], Any], repeats: int) -> float:
    """Seconds of one piece of work, from a common start to the end of the slowest rank."""
    dist.barrier()
    begun = time.perf_counter()
    for _ in range(repeats):
        work()
    taken = torch.tensor((time.perf_counter() - begun) / repeats)
    dist.all_reduce(taken, dist.ReduceOp.MAX)
    return float(taken)


def on_a_rank(rank: int, world: int, folder: str, counts: list[int], width: int, rounds: int, repeats: int) -> None:
    """Time all for every number of rows; rank 0 writes the seconds (numbers of rows, 3, rounds)."""
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'file://{folder}/store{world}', rank=rank, world_size=world)
    seconds = np.zeros((len(counts), 3, rounds))
    for i, count in enumerate(counts):
        rows = torch.randn(count, width, requires_grad=True)
        same = torch.zeros(count * world, width)

        def gather(rows: torch.Tensor = rows) -> None:
            rows.grad = None
            gather_and_back(rows)

        def reduce(same: torch.Tensor = same) -> None:
            dist.all_reduce(same)

        labels = torch.randint(20, (count // 2,)).repeat(2)

        def contrast(rows: torch.Tensor = rows, labels: torch.Tensor = labels) -> None:
            rows.grad = None
            loss_and_back(rows, labels)

        works = [(0, gather), (1, reduce), (2, contrast)]
        for number in range(-1, rounds):  # the first does not count
            for which, work in works if number % 2 else reversed(works):
                taken = seconds_of(work, repeats)
                if number >= 0:
                    seconds[i, which, number] = taken
    if rank == 0:
        np.save(f'{folder}/{world}.npy', seconds)
    dist.barrier()
    dist.destroy_process_group()


def rows_of_table(world: int, counts: list[int], width: int, seconds: np.ndarray) -> list[list[str]]:
    """A line of the table for each number of rows; ratios are taken round by round."""
    lines = []
    for count, (gather, reduce, contrast) in zip(counts, seconds * 1e3, strict=True):
        ratios = gather / reduce
        lines.append(
            [str(world), str(count), f'{count * world * width * 4 / 2**20:.2f}', f'{np.median(gather):.2f}',
             f'{np.median(reduce):.2f}', f'{np.median(ratios):.2f}', f'{ratios.min():.2f} .. {ratios.max():.2f}',
             f'{np.median(contrast):.2f}']
        )  # fmt: skip
    return lines


def draw(medians: dict[int, np.ndarray], counts: list[int], out: Path) -> str:
    """Plot the gather and the whole loss against the number of ranks; returns the picture's line of Markdown."""
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    worlds = sorted(medians)
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.2), layout='constrained')
    for panel, which, title in zip(panels, (0, 2), ('gather and backward', 'whole loss and backward'), strict=True):
        for i, count in enumerate(counts):
            panel.plot(worlds, [medians[world][i, which] for world in worlds], 'o-', label=f'{count} rows of a rank')
        panel.set(xlabel='ranks', ylabel='ms', title=title, yscale='log', xticks=worlds)
        panel.spines[['top', 'right']].set_visible(False)
    panels[0].legend(frameon=False, fontsize='small')
    figure.savefig(out, dpi=120)
    plt.close(figure)
    return f'![ms against ranks]({out.name})'


def main() -> None:
    """Time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ranks', type=int, nargs='+', default=[1, 2, 4], help='numbers of processes (default 1 2 4)')
    parser.add_argument('--rows', type=int, nargs='+', default=[64, 256, 1024, 4096], help='embeddings of each rank')
    parser.add_argument('--width', type=int, default=128, help='of an embedding (default 128)')
    parser.add_argument('--rounds', type=int, default=9, help='timed rounds (default 9)')
    parser.add_argument('--repeats', type=int, default=10, help='of each in a round (default 10)')
    parser.add_argument('--headlines', help='the JSON file to write for cost.py')
    parser.add_argument('--out', help='the Markdown page to write; an existing one is replaced')
    args = parser.parse_args()
    import torch.multiprocessing as mp

    lines, medians = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for world in args.ranks:
            options = (world, folder, args.rows, args.width, args.rounds, args.repeats)
            mp.spawn(on_a_rank, options, nprocs=world)
            seconds = np.load(f'{folder}/{world}.npy')
            lines += rows_of_table(world, args.rows, args.width, seconds)
            medians[world] = 1e3 * np.median(seconds, axis=2)
    heads = ['ranks', 'rows of a rank', 'MiB gathered', 'gather and backward, ms', 'all-reduce, ms', 'ratio (median)']
    heads += ['lowest .. highest', 'whole loss and backward, ms']
    drawn = draw(medians, args.rows, Path(args.out).with_suffix('.png')) if args.out else ''
    command = ' '.join(['python benchmarks/speed/gather.py', *sys.argv[1:]])
    page = (
        f'# Cost of the gather over ranks\n\nWritten by `{command}` on {machine(cpu=True)}: gloo '
        'processes of one thread each on one machine, so ranks '
        f'beyond the cores take turns. Embeddings of width {args.width}, float32; medians of {args.rounds} alternating '
        f'rounds of {args.repeats}, the slowest rank counts. The all-reduce is of the bytes gathered; the gather and '
        'its backward are three collectives: the numbers of rows, the rows, and an all-reduce of their gradients.\n\n'
        f'{markdown_table(heads, lines)}\n\n{drawn}\n'
    )
    print(page)
    if args.out:
        Path(args.out).write_text(page)
    found = [
        Headline.of(f'whole loss, {world} ranks, {count} rows', medians[world][i, 2])
        for world in medians
        for i, count in enumerate(args.rows)
    ]
    write_headlines(args.headlines, found)


if __name__ == '__main__':
    run(main)
