"""Time and memory of the contrastive loss, forward and backward, against other implementations.

Compared are: ours, the released code's form (a mask over all pairs, written out here), pytorch-metric-learning's
SupConLoss, and, without labels, lightly's NTXentLoss. All get the same embeddings; values and gradients are compared
first. Times alternate in one process; memory is the growth of the peak resident set of a process of its own (CPU) or
the allocator's peak (GPU).

Examples:
  pip install --no-deps -r requirements/benchmark.txt
  python benchmarks/speed/loss.py --sizes 1024 4096 --out docs/cost/loss.md
  python benchmarks/speed/loss.py --sizes 4096 --memory-sizes 4096 8192 16384
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import mmcds  # noqa: F401  a torchvision that does not fit a CPU torch is mended here, before lightly imports it
from benchmarks.speed.allocator import keep_freed_memory
from benchmarks.speed.headline import Headline, machine, markdown_table, write_headlines
from benchmarks.speed.memory import begin_peak, peak_mib
from mmcds.cli.tool import run
from mmcds.models.losses import ContrastiveLoss

TEMPERATURE = 0.07
WIDTH, CLASSES = 128, 100
#: With labels, and without.
SUPCON = ('mmcds', 'released form', 'pytorch-metric-learning')
NTXENT = ('mmcds, no labels', 'released form, no labels', 'lightly')
#: Of four taps at once, the masked form one tap after the other.
FOUR_TAPS = ('released form, four taps', 'mmcds, four taps')
#: Rounds for few embeddings, whose steps are short.
ROUNDS_OF_FEW = 51
#: Relative difference of loss and gradient that still counts as the same.
TOLERANCE = 1e-3
#: What torch and numpy say where there is not enough memory, and what the page then says.
NO_MEMORY = ('MemoryError', 'not enough memory', 'out of memory', "can't allocate memory")
DOES_NOT_FIT = 'does not fit'
#: N of the plot, ours only.
GROWTH = (512, 1024, 2048, 4096, 8192, 16384)


def make_loss(name: str, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """A loss of embeddings (N, 128), or of taps (4, N, 128), of two views, view 1 first; ``labels`` (N,)."""
    half = len(labels) // 2
    if name.startswith('mmcds'):
        ours = ContrastiveLoss(TEMPERATURE, positives='instance' if 'no labels' in name else 'class')
        ids = torch.arange(half, device=labels.device).repeat(2)
        anchors = torch.ones_like(labels, dtype=torch.bool)
        return lambda z: ours(z, labels, ids, anchors).sum()
    if name.startswith('released form'):
        groups = torch.arange(half, device=labels.device) if 'no labels' in name else labels[:half]
        return lambda z: sum((released_form(tap, groups) for tap in z.view(-1, *z.shape[-2:])), z.new_zeros(()))
    if name == 'lightly':
        from lightly.loss import NTXentLoss

        theirs = NTXentLoss(TEMPERATURE)
        return lambda z: theirs(z[:half], z[half:])
    from pytorch_metric_learning.losses import SupConLoss

    theirs = SupConLoss(TEMPERATURE)
    return lambda z: theirs(z, labels)


def released_form(z: Tensor, groups: Tensor) -> Tensor:
    """SupCon with an N x N mask: what the released code computes on both views (2n, D), one group per image."""
    mask = torch.eq(groups[:, None], groups[None]).float().repeat(2, 2)
    logits = z @ z.T / TEMPERATURE
    logits = logits - logits.max(dim=1, keepdim=True).values.detach()
    others = torch.ones_like(mask).fill_diagonal_(0)
    mask = mask * others
    exponentials = torch.exp(logits) * others
    log_probability = logits - torch.log(exponentials.sum(1, keepdim=True))
    return -((mask * log_probability).sum(1) / mask.sum(1)).mean()


def embeddings(count: int, device: str) -> tuple[Tensor, Tensor]:
    """Random embeddings (count, 128), near their class's centre, and labels (count,); both views of an image agree."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (count // 2,), generator=generator).repeat(2)
    centres = torch.randn(CLASSES, WIDTH, generator=generator)
    z = centres[labels] + torch.randn(count, WIDTH, generator=generator)
    return F.normalize(z, dim=1).to(device), labels.to(device)


def step(loss: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient with respect to what is normalised to the embeddings, since some normalise again."""
    z = z.detach().requires_grad_()
    value = loss(F.normalize(z, dim=-1))
    (gradient,) = torch.autograd.grad(value, z)
    return value.detach(), gradient


def timed(
    names: tuple[str, ...], count: int, device: str, rounds: int
) -> tuple[list[list[str]], dict[str, np.ndarray]]:
    """Rows of the table of times, and the seconds; all take turns, after one round that does not count."""
    z, labels = embeddings(count, device)
    if names is FOUR_TAPS:
        z = torch.stack([z, z.roll(1, 1), z.flip(1), z.roll(7, 1)])
    losses = {name: make_loss(name, labels) for name in names}
    check_same({name: step(loss, z) for name, loss in losses.items()})
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names if number % 2 else reversed(names):
            begun = time.perf_counter()
            step(losses[name], z)
            if device == 'cuda':
                torch.cuda.synchronize()
            if number:
                seconds[name].append(time.perf_counter() - begun)
    rows = []
    for name in names:
        ratios = np.array(seconds[name]) / np.array(seconds[names[0]])
        spread = f'{ratios.min():.1f} .. {ratios.max():.1f}'
        rows.append([str(count), name, f'{np.median(seconds[name]) * 1e3:.2f}', f'{np.median(ratios):.2f}', spread])
    return rows, {name: np.array(values) for name, values in seconds.items()}


def check_same(results: dict[str, tuple[Tensor, Tensor]]) -> None:
    """Fail if what is compared does not compute the same."""
    (first, (value, gradient)), *others = results.items()
    for name, (their_value, their_gradient) in others:
        difference = (gradient - their_gradient).norm() / gradient.norm()
        if abs(their_value / value - 1) > TOLERANCE or difference > TOLERANCE:
            raise ValueError(
                f'{name} gives {float(their_value):.6f}, {first} {float(value):.6f}; '
                f'gradients differ by {difference:.1e}'
            )


def peak_of(name: str, count: int, device: str) -> str:
    """Peak memory in MiB of a step in a process of its own, or why there is none."""
    command = [sys.executable, __file__, '--measure', name, str(count), device]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout.strip().splitlines()[-1]
    lines = done.stderr.strip().splitlines() or ['']
    if done.returncode != -9 and not any(word in done.stderr for word in NO_MEMORY):
        raise ValueError(f'{name} at N = {count}: {lines[-1]}')
    return DOES_NOT_FIT


def measure(name: str, count: int, device: str) -> float:
    """What :func:`peak_of` runs: growth of the peak in MiB."""
    import resource

    small, few = embeddings(256, device)
    step(make_loss(name, few), small)  # libraries allocate on their first call
    z, labels = embeddings(count, device)
    loss = make_loss(name, labels)
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        allocated = torch.cuda.memory_allocated()
        step(loss, z)
        return (torch.cuda.max_memory_allocated() - allocated) / 2**20
    # An allocation beyond the machine ends in an error here, not in the kernel's killing of somebody.
    meminfo = Path('/proc/meminfo').read_text().splitlines()
    free = int(next(line for line in meminfo if line.startswith('MemAvailable')).split()[1]) * 1024
    used = int(Path('/proc/self/statm').read_text().split()[0]) * os.sysconf('SC_PAGE_SIZE')
    resource.setrlimit(resource.RLIMIT_AS, (used + int(free * 0.9), resource.RLIM_INFINITY))
    begin_peak()
    before = peak_mib()
    step(loss, z)
    return peak_mib() - before


def draw(seconds: dict[int, float], out: Path) -> float:
    """Plot our time against N with N squared through its last point; returns the seconds of a pair there."""
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    counts = np.array(sorted(seconds))
    taken = np.array([seconds[count] for count in counts])
    constant = taken[-1] / counts[-1] ** 2
    figure, panel = plt.subplots(figsize=(4.2, 3.2), layout='constrained')
    panel.loglog(counts, 1e3 * taken, 'o-', color='tab:blue', label='SupCon, forward and backward')
    panel.loglog(counts, 1e3 * constant * counts**2, '--', color='tab:gray', label=f'{constant * 1e9:.1f} ns x N$^2$')
    panel.set(xlabel='embeddings N (both views, all ranks)', ylabel='ms')
    panel.spines[['top', 'right']].set_visible(False)
    panel.legend(frameon=False)
    figure.savefig(out, dpi=120)
    plt.close(figure)
    return float(constant)


def main() -> None:
    """Time, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', type=int, nargs='+', default=[1024, 4096], help='embeddings N of both views to time')
    parser.add_argument('--few', type=int, nargs='+', default=[64, 256, 400], help='N to time four taps at')
    parser.add_argument('--memory-sizes', type=int, nargs='+', default=[4096, 32768], help='N to measure the memory at')
    parser.add_argument('--rounds', type=int, default=9, help='timed rounds (default 9)')
    parser.add_argument('--headlines', help='the JSON file to write for cost.py')
    parser.add_argument('--out', help='the Markdown page to write')
    parser.add_argument('--measure', nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(f'{measure(args.measure[0], int(args.measure[1]), args.measure[2]):.0f}')
        return
    missing = [name for name in ('pytorch_metric_learning', 'lightly') if find_spec(name) is None]
    if missing:
        raise ValueError(f'{missing} are not installed; pip install --no-deps -r requirements/benchmark.txt')
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    keep_freed_memory()  # without it the others' matrices of all pairs are mapped anew in each step
    times, headlines = [], []
    for size in args.sizes:
        for names in (SUPCON, NTXENT):
            rows, seconds = timed(names, size, device, args.rounds)
            times += rows
            headlines += [Headline.of(f'time {size}: {name}', seconds[name] / seconds[names[0]]) for name in names[1:]]
    few = []
    for size in args.few:
        rows, seconds = timed(FOUR_TAPS, size, device, ROUNDS_OF_FEW)
        few += rows
        ratio = seconds[FOUR_TAPS[1]] / seconds[FOUR_TAPS[0]]
        headlines.append(Headline.of(f'time {size}: {FOUR_TAPS[1]}', ratio))
    growth = {size: float(np.median(timed(SUPCON[:1], size, device, 5)[1][SUPCON[0]])) for size in GROWTH}
    peaks = [
        [str(size), name, peak_of(name, size, device)] for size in args.memory_sizes for name in (*SUPCON, *NTXENT)
    ]
    memory = {(int(n), name): float('inf' if text == DOES_NOT_FIT else text) for n, name, text in peaks}
    headlines += [Headline.of(f'memory {number}: {name}', mib) for (number, name), mib in memory.items()]
    picture = Path(args.out).with_suffix('.png') if args.out else None
    drawn = []
    if picture:
        constant = draw(growth, picture)
        headlines.append(Headline.of('seconds of a pair', constant))
        drawn = [f'![Time of the loss against N]({picture.name})']
    page = '\n\n'.join(
        [
            '# Cost of the contrastive loss',
            f'Written by `python benchmarks/speed/loss.py {" ".join(sys.argv[1:])}` on {machine()}. '
            f'N embeddings of width {WIDTH} of both '
            f'views together, {CLASSES} classes, float32, forward and backward; losses and gradients agree to '
            f'{TOLERANCE:g}. Ratios to mmcds are taken round by round ({args.rounds} rounds).',
            markdown_table(['N', 'loss', 'ms (median)', 'ratio (median)', 'lowest .. highest'], times),
            f'Few embeddings, as a detector has, of four taps; ratios to the released form, {ROUNDS_OF_FEW} rounds:',
            markdown_table(['N', 'loss', 'ms (median)', 'ratio (median)', 'lowest .. highest'], few),
            'Peak memory of a step beyond its embeddings, each in a process of its own:',
            markdown_table(['N', 'loss', 'MiB'], peaks),
            'Our time grows with the square of N, its memory with N:',
            markdown_table(['N', 'ms (median)'], [[str(n), f'{1e3 * t:.1f}'] for n, t in growth.items()]),
            *drawn,
        ]
    )
    print(page)
    if args.out:
        Path(args.out).write_text(page + '\n')
    write_headlines(args.headlines, headlines)


if __name__ == '__main__':
    run(main)
