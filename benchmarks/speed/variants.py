"""Whether other ways to compute the heads and the loss pay: channels_last, bfloat16, torch.compile.

Timed are forward and backward pass of the paper's heads (SepConv) on the four stages of a ResNet-18 on CIFAR, and of
the loss on 4096 embeddings, each way against the plain one, alternately. Run it on a quiet machine.

Example:
  python benchmarks/speed/variants.py --out docs/cost/variants.md
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.speed.allocator import keep_freed_memory
from benchmarks.speed.headline import Headline, machine, markdown_table, write_headlines
from mmcds.cli.tool import run

#: Channels and side of the maps of the stages that have a head; stage 4 has none.
STAGES = ((64, 32), (128, 16), (256, 8))
HEADS, LOSS = 'heads', 'loss, N = 4096'
#: Written down before they were timed.
PREDICTIONS = {
    (HEADS, 'channels_last'): 'faster: depthwise convolutions read all channels of a place',
    (HEADS, 'bfloat16 autocast'): 'faster where the processor multiplies in bfloat16',
    (HEADS, 'torch.compile'): 'faster: batch norm and ReLU in one pass',
    (LOSS, 'torch.compile'): 'no difference: nearly all of it is matrix products',
}


def heads_step(batch: int, device: str, way: str) -> Callable[[], None]:
    """Forward and backward pass of three heads, computed in a way."""
    from mmcds.models.projectors import SepConvProjector

    torch.manual_seed(0)
    projectors = [SepConvProjector(c, len(STAGES) - i).to(device).train() for i, (c, _) in enumerate(STAGES)]
    maps = [torch.randn(batch, c, side, side, device=device, requires_grad=True) for c, side in STAGES]
    layout = torch.channels_last if way == 'channels_last' else torch.contiguous_format
    for projector in projectors:
        projector.to(memory_format=layout)
    called = [torch.compile(p) if way == 'torch.compile' else p for p in projectors]

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled='bfloat16' in way):
            # The change of layout is part of the cost: the backbone's maps come as the backbone has them.
            sums = [p(m.contiguous(memory_format=layout)).float().sum() for p, m in zip(called, maps, strict=True)]
        torch.stack(sums).sum().backward()

    return step


def loss_step(count: int, device: str, way: str) -> Callable[[], None]:
    """Forward and backward pass of the loss, computed in a way."""
    from mmcds.models.losses import ContrastiveLoss

    z = F.normalize(torch.randn(count, 128, device=device), dim=1).requires_grad_()
    labels = torch.randint(100, (count // 2,), device=device).repeat(2)
    ids = torch.arange(count // 2, device=device).repeat(2)
    anchors = torch.ones_like(labels, dtype=torch.bool)
    plain = ContrastiveLoss()
    loss = torch.compile(plain) if way == 'torch.compile' else plain
    return lambda: loss(z, labels, ids, anchors).backward()


def compare(
    what: str, ways: dict[str, Callable[[], None]], rounds: int, device: str
) -> list[tuple[list[str], Headline]]:
    """Rows of the table, every way against the first, and their ratios."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for name, step in ways.items():
        begun = time.perf_counter()
        step()
        print(f'{what}, {name}: first step {time.perf_counter() - begun:.1f} s', flush=True)
    for number in range(rounds):
        for name in ways if number % 2 else reversed(ways):
            begun = time.perf_counter()
            ways[name]()
            if device == 'cuda':
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - begun)
    plain = np.array(seconds['plain'])
    rows = []
    for name, values in seconds.items():
        ratio = np.array(values) / plain
        row = (
            [what, name, PREDICTIONS.get((what, name), ''), f'{1e3 * np.median(values):.0f}', f'{np.median(ratio):.2f}',
             f'{ratio.min():.2f} .. {ratio.max():.2f}']
        )  # fmt: skip
        rows.append((row, Headline.of(f'{what}: {name}', ratio)))
    return rows


def main() -> None:
    """Time all, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=256, help='images of both views (default 256)')
    parser.add_argument('--rounds', type=int, default=7, help='timed rounds (default 7)')
    parser.add_argument('--out', type=Path, help='the Markdown page to write')
    parser.add_argument('--headlines', help='the JSON file to write for cost.py')
    args = parser.parse_args()
    keep_freed_memory()
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    names = ('plain', 'channels_last', 'bfloat16 autocast', 'torch.compile')
    rows = compare(HEADS, {way: heads_step(args.batch, device, way) for way in names}, args.rounds, device)
    ways = {way: loss_step(4096, device, way) for way in ('plain', 'torch.compile')}
    rows += compare(LOSS, ways, args.rounds, device)
    heads = ['what', 'way', 'predicted', 'ms (median)', 'ratio to plain (median)', 'lowest .. highest']
    page = '\n\n'.join(
        [
            '# Other ways to compute heads and loss',
            f'Written by `{" ".join(["python benchmarks/speed/variants.py", *sys.argv[1:]])}` on {machine()}; '
            f'{args.rounds} alternating rounds, forward and backward pass; compiling is not in the time.',
            markdown_table(heads, [row for row, _ in rows]),
        ]
    )
    print(page)
    if args.out:
        args.out.write_text(page + '\n')
    write_headlines(args.headlines, [headline for _, headline in rows])


if __name__ == '__main__':
    run(main)
