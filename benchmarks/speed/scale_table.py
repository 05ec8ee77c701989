"""What the contrast costs a rank as ranks become many: measured constants, formulas, and a table computed from both.

Measured here: memory per key in two gloo processes, time per pair of embeddings, parameters and floating-point
operations of the models. Everything for 8 ranks or more is computed from them.

Examples:
  python benchmarks/speed/scale_table.py --out docs/cost/scale.md
  python benchmarks/speed/scale_table.py --ranks 8 256 --gbps 400
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.speed.headline import Headline, markdown_table, write_headlines
from mmcds.cli.tool import run

PAGE = Path(__file__).with_name('scale_page.md')
TAPS, QUEUE = 4, 4096
ANCHORS = 64  # where memory per key is measured, which does not depend on them
#: Shares from which a cost is called too high: of the traffic of DDP's gradients, and of a step's operations.
TRAFFIC_SHARE, WORK_SHARE = 0.10, 0.01


@dataclass
class Job:
    """What a rank does in a step: its images, rows of both views per tap, their width, and the model."""

    name: str
    images: int
    rows: int
    width: int
    config: str
    size: tuple[int, int]
    parameters: float = 0.0
    operations: float = 0.0


def jobs() -> list[Job]:
    """The default recipes, two views of each instance or image."""
    detector = ('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', (800, 1344))
    classifier = ('mmpretrain::resnet/resnet50_8xb32_in1k.py', (224, 224))
    return [
        Job('detector, 7 instances per image', 2, 2 * 2 * 7, 128, *detector),
        Job('detector, 64 instances per image (the most)', 2, 2 * 2 * 64, 128, *detector),
        Job('classifier, ResNet-50', 32, 2 * 32, 2048, *classifier),
    ]


def count(job: Job) -> None:
    """Parameters, and operations of a step: three forward passes of backbone and neck for each image."""
    from mmengine.registry import MODELS, DefaultScope
    from torch.utils.flop_counter import FlopCounterMode

    from mmcds.config.load_config import load_config

    cfg = load_config(job.config)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        # On 'meta' nothing is computed: shapes are enough to count.
        model: Any = MODELS.build(cfg.model).to('meta')
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.neck(model.backbone(torch.zeros(1, 3, *job.size, device='meta')))
    job.parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    job.operations = 3 * counter.get_total_flops() * job.images


def seconds_of_pair(width: int, anchors: int = 256, keys: int = 16384, rounds: int = 5) -> tuple[float, float, float]:
    """Median, lowest and highest seconds of the loss, forward and backward, per pair of an anchor and a key."""
    from mmcds.models.losses import contrastive_loss

    rows = F.normalize(torch.randn(keys, width), dim=1).requires_grad_()
    groups, own = torch.arange(keys) % 100, torch.arange(anchors)
    taken = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        contrastive_loss(rows[:anchors], groups[:anchors], rows, groups, own)[0].backward()
        taken.append((time.perf_counter() - begun) / (anchors * keys))
    return float(np.median(taken[1:])), min(taken[1:]), max(taken[1:])


def bytes_of_key(rank: int, folder: str, sizes: tuple[int, int], width: int) -> None:
    """In one of two processes: growth of the peak memory over gather, loss and backward, per key. Rank 0 writes it."""
    from mmcds.models.losses import ContrastiveLoss

    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', f'file://{folder}/store{width}', rank=rank, world_size=2)
    peaks = []
    for keys in (1024, *sizes):  # the first is for what libraries allocate once
        half = keys // 2
        rows = F.normalize(torch.randn(half, width), dim=1).requires_grad_()
        labels, ids, anchors = torch.arange(half) % 100, torch.arange(half), torch.arange(half) < ANCHORS
        Path('/proc/self/clear_refs').write_text('5')  # the kernel's record of the peak begins anew
        before = peak()
        ContrastiveLoss()(rows, labels, ids, anchors).backward()
        peaks.append(peak() - before - block_of(ANCHORS, keys))
        del rows
    if rank == 0:
        Path(folder, f'{width}.txt').write_text(str((peaks[2] - peaks[1]) / (sizes[1] - sizes[0])))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def peak() -> int:
    """Peak resident set of this process in bytes."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith('VmHWM')).split()[1])


def block_of(rows: int, keys: int, device: str = 'cpu') -> float:
    """Bytes of a block of similarities."""
    from mmcds.utils.blockwise import BLOCK_ELEMENTS

    return 4 * keys * min(rows, max(BLOCK_ELEMENTS[device] // keys, 16))


def traffic(rows: float, ranks: float, width: int) -> float:
    """Bytes that a rank sends in a step for the gather: rows and groups to all, and a ring all-reduce back."""
    return TAPS * rows * (ranks - 1) * (4 * width + 8 + 2 * 4 * width)


def costs(each: list[Job], ranks: list[int], key: dict[int, float], pair: dict[int, Any], gbps: float) -> str:
    """The table of costs: one line for each job and number of ranks."""
    lines = []
    for job in each:
        gradients = 2 * 4 * job.parameters
        for world in ranks:
            keys = job.rows * world
            sent = traffic(job.rows, world, job.width)
            pairs = TAPS * job.rows * keys
            memory = TAPS * keys * key[job.width] + block_of(job.rows, keys, 'cuda')
            lines.append(
                [job.name, str(world), str(job.rows), str(keys),
                 f'{memory / 2**20:.0f}', f'{sent / 2**20:.1f}',
                 f'{100 * sent / (gradients * (world - 1) / world):.1f} %', f'{sent * 8 / gbps / 1e6:.1f}',
                 f'{pairs * pair[job.width][0] * 1e3:.0f}', f'{100 * 6 * pairs * job.width / job.operations:.3f} %']
            )  # fmt: skip
    heads = ['a rank does', 'ranks', 'rows M', 'keys K', 'memory, MiB', 'sent, MiB', "of DDP's gradients"]
    return markdown_table([*heads, f'at {gbps:g} Gbit/s, ms', 'loss on this CPU, ms', "of a step's operations"], lines)


def choices(each: list[Job]) -> str:
    """The table of sizes at which something else is the better choice."""
    lines = []
    for job in each:
        dear = TRAFFIC_SHARE * 2 * 4 * job.parameters / (traffic(job.rows, 2, job.width))
        heavy = WORK_SHARE * job.operations / (6 * TAPS * job.rows**2 * job.width)
        lines.append([job.name, f'{QUEUE / job.rows:.0f}', f'{dear:.0f}', f'{heavy:.0f}'])
    heads = ['a rank does', f'ranks for {QUEUE} keys', f'traffic at {TRAFFIC_SHARE:.0%}', f'loss at {WORK_SHARE:.0%}']
    return markdown_table(heads, lines)


def main() -> None:
    """Measure, compute, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ranks', type=int, nargs='+', default=[8, 64, 1024], help='numbers of ranks to compute for')
    parser.add_argument('--gbps', type=float, default=100, help='Gbit/s that a rank sends, assumed (default 100)')
    parser.add_argument('--headlines', help='the JSON file to write for cost.py')
    parser.add_argument('--out', help='the Markdown page to write; an existing one is replaced')
    args = parser.parse_args()
    import torch.multiprocessing as mp

    each = jobs()
    for job in each:
        count(job)
    pair = {width: seconds_of_pair(width) for width in sorted({job.width for job in each})}
    key = {}
    with tempfile.TemporaryDirectory() as folder:
        for width in pair:
            sizes = (2**21 // width, 2**24 // width)
            mp.spawn(bytes_of_key, (folder, sizes, width), nprocs=2)
            key[width] = float(Path(folder, f'{width}.txt').read_text())
    constants = [
        [f'memory of a key of width {w}', f'{key[w]:.0f} bytes = {key[w] / (4 * w):.1f} x 4 D'] for w in key
    ] + [
        [f'loss of a pair of width {w}', f'{v[0] * 1e9:.1f} ns ({v[1] * 1e9:.1f} .. {v[2] * 1e9:.1f})']
        for w, v in pair.items()
    ]
    for job in (each[0], each[-1]):
        constants.append([f'{job.config}', f'{job.parameters / 1e6:.1f} M parameters that learn'])
        constants.append(
            [f'its step, {job.images} images {job.size[0]} x {job.size[1]}', f'{job.operations / 1e12:.2f} TFLOP']
        )
    page = PAGE.read_text().format(
        command=' '.join(['python benchmarks/speed/scale_table.py', *sys.argv[1:]]),
        machine=f'{os.cpu_count()} CPU cores, {platform.machine()}, torch {torch.__version__}',
        threads=torch.get_num_threads(),
        constants=markdown_table(['measured or counted', 'value'], constants),
        costs=costs(each, args.ranks, key, pair, args.gbps),
        choices=choices(each),
        taps=TAPS,
        queue=QUEUE,
        gbps=f'{args.gbps:g}',
    )
    print(page)
    if args.out:
        Path(args.out).write_text(page)
    write_headlines(
        args.headlines,
        [Headline.of(f'bytes of a key of width {w}', key[w]) for w in key]
        + [Headline.of(f'seconds of a pair of width {w}', v) for w, v in pair.items()],
    )


if __name__ == '__main__':
    run(main)
