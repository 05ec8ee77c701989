"""What the second view costs the data loader: time of a batch of the stock config and of the CDS config, side by side.

A generated image, written once as JPEG, passes each config's own pipeline in one process, as in a worker of the data
loader. What a view made on the device costs is in the training step (step_cost.py).

Example:
  python benchmarks/speed/data.py --out docs/cost/data.md
"""

import argparse
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.speed.headline import Headline, machine, markdown_table, write_headlines
from mmcds.cli.tool import run

#: Name -> stock config, CDS config (None: the stock's with --cds), (H, W) of an image, images of a batch.
PAIRS: dict[str, tuple[str, str | None, tuple[int, int], int]] = {
    'Faster R-CNN R50-FPN, COCO': (
        'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
        'configs/cds/faster_rcnn_r50_cds.py',
        (480, 640),
        2,
    ),
    'RetinaNet R50-FPN, COCO': (
        'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
        'configs/cds/retinanet_r50_cds.py',
        (480, 640),
        2,
    ),
    'ResNet-50, ImageNet, view on the device (--cds)': (
        'mmpretrain::resnet/resnet50_8xb32_in1k.py',
        None,
        (375, 500),
        8,
    ),
    "ResNet-50, ImageNet, the paper's two crops": (
        'configs/classification/imagenet/resnet50.py',
        'configs/classification/imagenet/resnet50_cds.py',
        (375, 500),
        8,
    ),
}


def make_batch(cfg: Any, size: tuple[int, int], batch: int, folder: Path) -> Any:
    """A function that passes a batch through the training pipeline of a config."""
    import cv2
    from mmcv.transforms import Compose
    from mmengine.registry import DefaultScope

    from benchmarks.speed.steps import pipeline_of, raw_sample

    scope = cfg.get('default_scope') or 'mmdet'
    path = folder / f'{size[0]}x{size[1]}.jpg'
    rng = np.random.default_rng(0)
    if not path.is_file():
        # Smooth, as photographs are: noise would take the decoder far longer.
        small = rng.integers(0, 256, (size[0] // 16, size[1] // 16, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_CUBIC))
    with DefaultScope.overwrite_default_scope(scope):
        steps = [step for step in pipeline_of(cfg) if 'LoadAnnotations' not in step['type']]
        pipeline = Compose(steps)

    samples = [{**raw_sample(rng, scope, cfg, size, 7), 'img_path': str(path), 'img': None} for _ in range(batch)]

    def work() -> None:
        with DefaultScope.overwrite_default_scope(scope):
            for sample in samples:
                # The pipeline changes the boxes in place.
                pipeline(deepcopy(sample))

    return work


def main() -> None:
    """Time all pairs, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=15, help='timed rounds of each pair (default 15)')
    parser.add_argument('--out', type=Path, help='the Markdown page to write')
    parser.add_argument('--headlines', help='the JSON file to write for cost.py')
    args = parser.parse_args()

    import mmcds
    from mmcds.config.load_config import load_config

    rows, headlines = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, (stock, ours, size, batch) in PAIRS.items():
            base = load_config(stock)
            cds = load_config(ours) if ours else mmcds.add_cds(base)
            works = [make_batch(cfg, size, batch, Path(folder)) for cfg in (base, cds)]
            seconds: list[list[float]] = [[], []]
            for number in range(-1, args.rounds):
                for which in (0, 1) if number % 2 else (1, 0):
                    begun = time.perf_counter()
                    works[which]()
                    if number >= 0:
                        seconds[which].append(time.perf_counter() - begun)
            first, second = (np.array(each) for each in seconds)
            ratio = second / first
            headlines.append(Headline.of(f'data: {name}', ratio))
            rows.append(
                [name, str(batch), f'{1e3 * np.median(first):.1f}', f'{1e3 * np.median(second):.1f}',
                 f'{np.median(ratio):.3f}', f'{ratio.min():.2f} .. {ratio.max():.2f}']
            )  # fmt: skip
    heads = ['config', 'batch', 'stock, ms', 'CDS, ms', 'ratio (median)', 'lowest .. highest']
    page = '\n\n'.join(
        [
            '# What the second view costs the data loader',
            f'Written by `{" ".join(["python benchmarks/speed/data.py", *sys.argv[1:]])}` on {machine(cpu=True)}; '
            f'{args.rounds} alternating rounds of a batch in one process, without workers.',
            markdown_table(heads, rows),
            'Detectors have one view by default, and `--cds` gives a classifier a second view that is made on the '
            "device. Both leave the data loader as it was. The paper's second view is another crop, so the loader "
            'makes two per image. If the workers only just kept up before, give that recipe as many more as the '
            'ratio says.',
        ]
    )
    print(page)
    if args.out:
        args.out.write_text(page + '\n')
    write_headlines(args.headlines, headlines)


if __name__ == '__main__':
    run(main)
