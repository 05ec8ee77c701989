"""Time mmdet's CocoMetric and mmcds.FasterCocoMetric side by side on random detections, and compare their numbers.

Timed are the whole metric (what a validation waits for after its last image: writing, reading and indexing the
detections, too) and the evaluator alone. Run it on a quiet machine.

Examples:
  python benchmarks/speed/coco_eval.py --out docs/cost/coco_eval.md
  python benchmarks/speed/coco_eval.py --images 5000 --rounds 3
"""

import argparse
import contextlib
import io
import json
import os
import platform
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.speed.headline import Headline, markdown_table, write_headlines
from mmcds.cli.tool import run

PARTS = ('whole metric', 'evaluator alone')
ARRAYS = ('stats', 'precision', 'recall', 'scores')


class Clock:
    """Seconds from the making of an evaluator to the end of its summary, and the evaluator itself."""

    def __init__(self, evaluator: type) -> None:
        self.evaluator = evaluator
        self.seconds = 0.0
        self.done: Any = None

    def __call__(self, *args: Any) -> Any:
        """Make the evaluator, as the metric does; the clock runs until it has summarised."""
        begun = time.perf_counter()
        self.done = self.evaluator(*args)
        summarize = self.done.summarize

        def summarize_and_stop() -> None:
            summarize()
            self.seconds = time.perf_counter() - begun

        self.done.summarize = summarize_and_stop
        return self.done


def evaluate(stock: bool, kind: str, ann_file: str, results: list, classes: tuple[str, ...]) -> tuple[list[float], Any]:
    """Seconds of the whole metric and of its evaluator, and the evaluator with its numbers."""
    from mmdet.evaluation.metrics import CocoMetric
    from pycocotools.cocoeval import COCOeval

    from mmcds.analysis.metrics.faster_coco_metric import FasterCocoMetric, compute_with, faster_evaluator

    metric = (CocoMetric if stock else FasterCocoMetric)(ann_file=ann_file, metric=kind)
    metric.dataset_meta = dict(classes=classes)
    results = deepcopy(results)
    clock = Clock(COCOeval if stock else faster_evaluator())
    begun = time.perf_counter()
    compute_with(clock, metric, results)
    return [time.perf_counter() - begun, clock.seconds], clock.done


def difference(stock: Any, faster: Any) -> float:
    """The largest difference of any number: the summary, and the arrays that it is made from."""
    pairs = [(stock.stats, faster.stats), *((stock.eval[key], faster.eval[key]) for key in ARRAYS[1:])]
    return max(float(np.abs(a - np.asarray(b)).max()) for a, b in pairs)


def timed(kind: str, args: argparse.Namespace, folder: str) -> tuple[list[list[str]], list[Headline], float]:
    """Rows of the table for 'bbox' or 'segm', the speed-ups, and the largest difference."""
    from benchmarks.speed.detections import class_names, random_detections

    content, results = random_detections(args.images, args.classes, args.detections, masks=kind == 'segm')
    ann_file = Path(folder) / f'{kind}.json'
    ann_file.write_text(json.dumps(content))
    seconds: dict[bool, list[list[float]]] = {True: [], False: []}
    largest = 0.0
    for number in range(args.rounds):
        done = {}
        for stock in (True, False) if number % 2 else (False, True):
            with contextlib.redirect_stdout(io.StringIO()):
                taken, done[stock] = evaluate(stock, kind, str(ann_file), results, class_names(args.classes))
            seconds[stock].append(taken)
        largest = max(largest, difference(done[True], done[False]))
    rows, headlines = [], []
    for part, name in enumerate(PARTS):
        stock_s, faster_s = (np.array(seconds[stock])[:, part] for stock in (True, False))
        ratios = stock_s / faster_s
        headlines.append(Headline.of(f'{kind}: {name}', ratios))
        rows.append(
            [kind, name, f'{np.median(stock_s):.2f}', f'{np.median(faster_s):.2f}', f'{np.median(ratios):.1f} x',
             f'{ratios.min():.1f} .. {ratios.max():.1f}']
        )  # fmt: skip
    return rows, headlines, largest


def main() -> None:
    """Time, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=1000, help='images (default 1000)')
    parser.add_argument('--classes', type=int, default=80, help='classes (default 80, as COCO)')
    parser.add_argument('--detections', type=int, default=100, help='detections of an image (default 100)')
    parser.add_argument('--rounds', type=int, default=3, help='timed rounds (default 3)')
    parser.add_argument('--metrics', nargs='+', choices=('bbox', 'segm'), default=['bbox', 'segm'])
    parser.add_argument('--headlines', help='the JSON file to write for cost.py')
    parser.add_argument('--out', help='the Markdown page to write; an existing one is replaced')
    args = parser.parse_args()
    from importlib.metadata import version

    rows, headlines, largest = [], [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for kind in args.metrics:
            added, ratios, found = timed(kind, args, folder)
            rows += added
            headlines += ratios
            largest = max(largest, found)
    heads = ['metric', 'part', 'stock, s (median)', 'faster, s (median)', 'speed-up (median)', 'lowest .. highest']
    table = markdown_table(heads, rows)
    command = ' '.join(['python benchmarks/speed/coco_eval.py', *sys.argv[1:]])
    page = (
        "# COCO evaluation with faster-coco-eval\n\n`val_evaluator = dict(type='mmcds.FasterCocoMetric', ...)` takes "
        "the arguments of mmdet's `CocoMetric` and reports its numbers; install the evaluator with "
        f'`pip install -r requirements/optional.txt`.\n\nWritten by `{command}` on {os.cpu_count()} CPU cores, '
        f'{platform.machine()}, faster-coco-eval {version("faster-coco-eval")}, pycocotools {version("pycocotools")}: '
        f'{args.images} images, {args.classes} classes, {args.detections} detections per image, random; '
        f'{args.rounds} alternating rounds, speed-ups round by round.\n\n{table}\n\n'
        f'The largest difference of any number ({", ".join(ARRAYS)}; not rounded) is {largest:.1e}.\n'
    )
    print(page)
    if args.out:
        Path(args.out).write_text(page)
    write_headlines(args.headlines, [*headlines, Headline.of('difference', largest)])


if __name__ == '__main__':
    run(main)
