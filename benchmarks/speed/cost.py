"""Everything that CDS costs, against its targets: runs the other benchmarks and writes one table of what they found.

What has been measured is not measured again, so an interrupted run goes on where it was. Run it on a quiet machine;
it takes about half an hour on two CPU cores. Where a GPU is seen the same steps run there, and its table stands beside
that of the CPU (--results names the folder of each machine's values, which belong into the repository).

Examples:
  pip install --no-deps -r requirements/benchmark.txt
  python benchmarks/speed/cost.py
  python benchmarks/speed/cost.py --only steps loss --again
"""

import argparse
import math
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.speed.headline import Headline, markdown_table, read_headlines, was_run_as
from mmcds.cli.tool import run

ROOT = Path(__file__).resolve().parents[2]
PAGES = 'docs/cost'
DETECTORS = {
    'faster_rcnn': ('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', 'configs/cds/faster_rcnn_r50_cds.py'),
    'retinanet': ('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', 'configs/cds/retinanet_r50_cds.py'),
}
CIFAR = 'configs/classification/cifar100/resnet18'
#: Of the step benchmarks; the shipped configs have one view.
TWO_VIEWS = 'two views: view.type=PhotometricView view.scale=0.5'
PLACES = 'one view, jittered and near boxes: view.type=SingleView sampler.jitter=0.2 sampler.near=2'
PACKED = 'two views in one batch: concat=true'
#: As launches.py calls it.
LAUNCHES_ONE_VIEW = "one view: `view=dict(type='SingleView')`"
KEPT_VIEW = 'second view kept, not recomputed'
KEPT = f'{KEPT_VIEW}: view.type=PhotometricView view.scale=0.5 recompute=false'
AGAIN = 'second view computed again: view.type=PhotometricView view.scale=0.5 recompute=true'


def commands(rounds: int, gpu: bool = False) -> dict[str, list[str]]:
    """Name of each benchmark, which is also that of its page and its values -> script and arguments.

    Args:
        rounds (int): Of the timed steps.
        gpu (bool): Whether there is one, which also takes steps of eight images. Defaults to False.
    """
    forms = (TWO_VIEWS, PACKED, *((PLACES, KEPT, AGAIN) if gpu else ()))
    vary = ' '.join(f'--vary {shlex.quote(each)}' for each in forms)
    steps = {
        f'step_{name}{key}': shlex.split(
            f'step_cost.py {stock} {cds} --batch {batch} --size 800 1344 --rounds {rounds} --steps 1 --zero-weight '
            f'{memory} {vary} --title {shlex.quote(f"Cost of a training step, {stock}")}'
        )
        for key, batch, memory in (('', 2, '--memory'), *((('_8', 8, ''),) if gpu else ()))
        for name, (stock, cds) in DETECTORS.items()
    }
    return {
        'inference': ['inference.py', *(cds for _, cds in DETECTORS.values()), f'{CIFAR}_cds.py'],
        **steps,
        'step_cifar': shlex.split(
            f'step_cost.py {CIFAR}.py {CIFAR}_cds.py {CIFAR}_cds-mlp.py {CIFAR}_cds-fast.py --batch 128 --size 32 32 '
            f"--rounds {rounds} --steps 1 --zero-weight --memory --title 'Cost of a training step, CIFAR'"
        ),
        'loss': shlex.split('loss.py --sizes 1024 4096 --memory-sizes 4096 8192 16384 32768 --rounds 7'),
        'growth': shlex.split('scaling.py configs/bccd/faster_rcnn_r18_bccd.py --size 192 256 --rounds 11'),
        'launches': ['launches.py'],
        'data': ['data.py'],
        'coco_eval': shlex.split('coco_eval.py --images 500 --rounds 3'),
        'gather': shlex.split('gather.py --rows 64 256 1024 --repeats 3'),
        'scale': ['scale_table.py'],
        'variants': ['variants.py'],
    }


@dataclass(frozen=True)
class Row:
    """A line of the table: what, in which benchmark's values under which key, and the target.

    Attributes:
        gpu (float | None): The target on a GPU. Defaults to None: the same.
        on (str): 'cpu' or 'gpu', if it is asked of one of them only. Defaults to ''.
    """

    what: str
    benchmark: str
    key: str
    target: float
    at_least: bool = False
    unit: str = ' x'
    gpu: float | None = None
    on: str = ''

    def met(self, found: Headline) -> bool:
        """Whether the median is within the target, at the precision that is printed."""
        value = round(found.value, digits(self.target)) if self.target >= 0.01 else found.value
        return value >= self.target if self.at_least else value <= self.target

    def of(self, kind: str) -> 'Row':
        """The row with the target of a kind of machine, 'cpu' or 'gpu'."""
        return replace(self, target=self.gpu) if kind == 'gpu' and self.gpu is not None else self

    def cells(self, found: Headline) -> list[str]:
        """Its line of the table."""
        places = 0 if self.unit == ' MiB' else digits(self.target)
        spread = f'{found.low:.{places}f} .. {found.high:.{places}f}' if found.low != found.high else ''
        sign = '>=' if self.at_least else '<='
        if math.isnan(found.value):
            return [self.what, f'{sign} {self.target:g}{self.unit}', 'lost in noise', '', 'not settled']
        return [
            self.what,
            f'{sign} {self.target:g}{self.unit}',
            f'{found.value:.{places}f}{self.unit}'
            if abs(found.value) > 1e-3 or found.value == 0
            else f'{found.value:.1e}',
            spread,
            'met' if self.met(found) else f'**missed by {_share(abs(found.value / self.target - 1))}**',
        ]


def _share(missed: float) -> str:
    return f'{missed:.0%}' if missed >= 0.005 else 'under 1%'


def digits(target: float) -> int:
    """Decimal places that a value is compared at: those of its target, two at the least."""
    return max(len(f'{target:g}'.partition('.')[2]), 2)


def rows() -> list[Row]:
    """The targets."""
    found = []
    models = {name: cds for name, (_, cds) in DETECTORS.items()}
    for name, cds in {**models, 'CIFAR ResNet-18': f'{CIFAR}_cds.py'}.items():
        stem = Path(cds).stem
        for what in ('latency', 'operations', 'memory'):
            # Two identical computations differ by the clock: what is asked is that the median does not.
            found.append(Row(f'inference, {name}: {what}', 'inference', f'{what}: {stem}', 1.01))
        found.append(Row(f'inference, {name}: same output', 'inference', f'same output: {stem}', 1, True, ''))
    for name, (_, cds) in DETECTORS.items():
        bench, stem = f'step_{name}', Path(cds).stem
        two, packed = 'two views', 'two views in one batch'
        step = f'step, {name}, 2 images 800x1344'
        found += [
            Row(f'{step}, one view: time', bench, f'time: {stem}', 1.05, gpu=1.10),
            Row(f'{step}, one view: peak memory', bench, f'memory: {stem}', 1.05),
            Row(f'{step}, one view: kernels', bench, f'kernels: {stem}', 1.15, on='gpu'),
            Row(f'{step}, one view: operators', 'launches', f'launches 2: {stem}, {LAUNCHES_ONE_VIEW}', 1.15, on='cpu'),
            Row(f'{step}, two views: time', bench, f'time: {two}', 1.15, on='cpu'),
            Row(f'{step}, two views: time', bench, f'time: {KEPT_VIEW}', 1.25, on='gpu'),
            Row(f'{step}, two views: peak memory', bench, f'memory: {two}', 1.15, on='cpu'),
            Row(f'{step}, two views: peak memory', bench, f'memory: {KEPT_VIEW}', 1.15, on='gpu'),
            Row(f'{step}, two views in one batch: time', bench, f'time: {packed}', 1.15, gpu=1.25),
            Row(f'{step}, two views in one batch: peak memory', bench, f'memory: {packed}', 1.15),
            Row(f'{step}, schedule at 0: time', bench, 'time: weight 0', 1.01),
        ]
        for form, key, target in (
            ('one view', stem, 1.05),
            ('two views', KEPT_VIEW, 1.15),
            (packed, packed, 1.15),
        ):
            found.append(Row(f'step, {name}, 8 images, {form}: time', f'{bench}_8', f'time: {key}', target, on='gpu'))
    stem = Path(CIFAR).name
    found += [
        Row("step, CIFAR ResNet-18, the paper's: time", 'step_cifar', f'time: {stem}_cds', 2.05),
        Row('step, CIFAR ResNet-18, `cds-mlp`: time', 'step_cifar', f'time: {stem}_cds-mlp', 2.05),
        Row('step, CIFAR ResNet-18, `cds-fast`: time', 'step_cifar', f'time: {stem}_cds-fast', 1.5),
        Row('step, CIFAR ResNet-18, schedule at 0: time', 'step_cifar', 'time: weight 0', 1.01),
    ]
    for name, key in (
        ('the released form', 'released form'),
        ('pytorch-metric-learning', 'pytorch-metric-learning'),
        ('lightly (NT-Xent)', 'lightly'),
    ):
        found.append(Row(f'loss, N = 4096, {name} over ours: time', 'loss', f'time 4096: {key}', 3, True))
    for number in (64, 256, 400):
        key = f'time {number}: mmcds, four taps'
        found.append(Row(f'loss of four taps, N = {number}, ours over the released form: time', 'loss', key, 1.2))
    found.append(Row('loss, N = 32,768, ours: peak memory', 'loss', 'memory 32768: mmcds', 1024, unit=' MiB'))
    for axis in ('batch', 'taps', 'instances per image', 'queue'):
        found.append(Row(f'growth with {axis}: exponent (1: linear)', 'growth', f'growth: {axis}', 1.1, unit=''))
    for name in ('Faster R-CNN R50-FPN, COCO', 'RetinaNet R50-FPN, COCO'):
        found.append(Row(f'data loader, {name}: time of a batch', 'data', f'data: {name}', 1.02))
    name = 'ResNet-50, ImageNet, view on the device (--cds)'
    found.append(Row(f'data loader, {name}: time of a batch', 'data', f'data: {name}', 1.02))
    found.append(Row('COCO evaluation: largest difference of any number', 'coco_eval', 'difference', 1e-6, unit=''))
    return found


def memory_rows(values: dict[str, Headline], sizes: Sequence[int] = (4096, 8192, 16384, 32768)) -> list[list[str]]:
    """Peak memory of the losses beside ours, where theirs fits."""
    lines = []
    for size in sizes:
        for name, ours in (
            ('released form', 'mmcds'),
            ('pytorch-metric-learning', 'mmcds'),
            ('lightly', 'mmcds, no labels'),
        ):
            theirs, mine = values.get(f'memory {size}: {name}'), values.get(f'memory {size}: {ours}')
            if mine is None:
                continue
            fits = theirs is not None and theirs.value < float('inf')
            share = f'1/{theirs.value / mine.value:.0f}' if theirs is not None and fits else ''
            theirs_mib = 'not measured' if theirs is None else f'{theirs.value:.0f}' if fits else 'does not fit'
            lines.append([str(size), name, theirs_mib, f'{mine.value:.0f}', share])
    return lines


def page(folders: Sequence[Path]) -> str:
    """The page, from the values in the folders, a table for each machine."""
    text = (Path(__file__).parent / 'cost_page.md').read_text()
    parts = []
    for folder in folders:
        found = {path.stem: read_headlines(path) for path in sorted(folder.glob('*.json'))}
        if not found:
            continue
        lines: dict[str, list[list[str]]] = {}
        missing = []
        # Other machines' values may stand in any folder.
        kind = 'cpu' if all('no GPU' in machine for machine, _ in found.values()) else 'gpu'
        for row in (each.of(kind) for each in rows() if each.on in ('', kind)):
            machine, values = found.get(row.benchmark, ('', {}))
            value = values.get(row.key)
            if value is None:
                missing.append(row.what if values else f'`{row.benchmark}`')
            else:
                lines.setdefault(machine, []).append(row.cells(value))
        for machine, cells in lines.items():
            parts.append(f'## On {machine}')
            parts.append(markdown_table(['what', 'target', 'measured (median)', 'lowest .. highest', ''], cells))
        if missing:
            here = 'here' if len(lines) == 1 else f'on any {folder.name.upper()}'
            parts.append(f'Not measured {here}: {", ".join(dict.fromkeys(missing))}.')
        if 'loss' in found:
            parts.append('Peak memory of a loss, MiB (target at N = 32,768: at most 1/20 of theirs, where it fits):')
            heads = ['N', 'other', 'other, MiB', 'ours, MiB', 'ours of theirs']
            parts.append(markdown_table(heads, memory_rows(found['loss'][1])))
    return text.replace('{tables}', '\n\n'.join(parts)).rstrip() + '\n'


def main() -> int:
    """Run what is missing, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(commands(1, gpu=True))
    parser.add_argument('--only', nargs='+', metavar='NAME', help=f'only these of {", ".join(names)}')
    parser.add_argument('--again', action='store_true', help='measure what has been measured, too')
    parser.add_argument('--rounds', type=int, default=5, help='of the timed steps (default 5)')
    parser.add_argument(
        '--results', type=Path, help="this machine's values (default benchmarks/speed/cost/cpu or .../gpu)"
    )
    parser.add_argument('--out', type=Path, default=ROOT / 'docs/cost.md', help='the page (default docs/cost.md)')
    args = parser.parse_args()
    import torch

    from mmcds.utils.errors import unknown_name

    for name in args.only or []:
        if name not in names:
            raise unknown_name('--only', name, names)
    kind = 'gpu' if torch.cuda.is_available() else 'cpu'
    results = (args.results or ROOT / 'benchmarks/speed/cost' / kind).resolve()
    pages = ROOT / PAGES / ('' if kind == 'cpu' else kind)
    pages.mkdir(parents=True, exist_ok=True)
    failed = []
    for name, (script, *arguments) in commands(args.rounds, gpu=kind == 'gpu').items():
        if args.only and name not in args.only:
            continue
        values = results / f'{name}.json'
        out = pages.relative_to(ROOT) / f'{name}.md'
        # Within the repository by its name in it: the page repeats the command, and stands on other machines, too.
        inside = values.relative_to(ROOT) if values.is_relative_to(ROOT) else values
        extra = ['--out', str(out), '--headlines', str(inside)]
        if was_run_as(values, [*arguments, *extra]) and not args.again:
            print(f'{name}: measured already, {inside}', flush=True)
            continue
        print(f'{name}: python benchmarks/speed/{script} {shlex.join(arguments)}', flush=True)
        done = subprocess.run([sys.executable, f'benchmarks/speed/{script}', *arguments, *extra], cwd=ROOT, check=False)
        if done.returncode:
            failed.append(name)
    folders = [ROOT / 'benchmarks/speed/cost' / each for each in ('cpu', 'gpu')]
    args.out.write_text(page([*folders, *([] if results in folders else [results])]))
    print(args.out.read_text())
    if failed:
        print(f'error: {", ".join(failed)} failed; what was measured is kept', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    run(main)
