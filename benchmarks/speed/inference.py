r"""What is left of CDS at inference: latency, FLOPs, memory and output of the CDS model beside the stock one.

Both have the same random weights and see the same random image; they take turns. Run it on a quiet machine.

Example:
  python benchmarks/speed/inference.py configs/cds/faster_rcnn_r50_cds.py configs/cds/retinanet_r50_cds.py \
      --size 480 640 --out docs/cost/inference.md
"""

import argparse
import gc
import multiprocessing
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.headline import Headline, machine, markdown_table, write_headlines
from benchmarks.speed.memory import begin_peak, peak_mib
from mmcds.cli.tool import run


def random_image(size: tuple[int, int]) -> torch.Tensor:
    """(3, H, W), uint8."""
    return torch.randint(256, (3, *size), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def predict(cfg: Any, image: torch.Tensor, device: str, model: Any) -> list[torch.Tensor]:
    """All tensors that a model predicts for an image."""
    from mmcds.checkpoints.export import sample_class, tensors

    size = tuple(image.shape[1:])
    sample = sample_class(cfg)(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), img_id=0))
    with torch.no_grad():
        predicted = model.test_step({'inputs': [image], 'data_samples': [sample]})[0]
    if device == 'cuda':
        torch.cuda.synchronize()
    return tensors(dict((predicted.pred_instances if 'pred_instances' in predicted else predicted).items()))


def peak_of(config: str, size: tuple[int, int], device: str, with_cds: bool) -> float:
    """Peak memory in MiB of one model at inference, its weights included, in a process of its own.

    The model of a config with CDS is what tools/test.py builds for it.
    """
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(_peak_of, (config, size, device, with_cds))


def _peak_of(config: str, size: tuple[int, int], device: str, with_cds: bool) -> float:
    from mmcds.apis import remove_cds
    from mmcds.checkpoints.export import build_for_test
    from mmcds.cli.prepare import without_contrast
    from mmcds.config.load_config import load_config

    cfg = load_config(config)
    build_for_test(cfg)  # what is imported on the way is not the model's
    gc.collect()
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    else:
        begin_peak()
    before = peak_mib()
    # Random weights decide how many boxes there are to suppress, and so the peak.
    torch.manual_seed(0)
    model = build_for_test(without_contrast(cfg) if with_cds else remove_cds(cfg)).to(device)
    for _ in range(2):
        predict(cfg, random_image(size), device, model)
    return torch.cuda.max_memory_allocated() / 2**20 if device == 'cuda' else peak_mib() - before


def compare(config: str, size: tuple[int, int], rounds: int, device: str) -> tuple[list[str], list[Headline]]:
    """One row: the CDS model against the stock one, and what of it goes into the table of all costs."""
    from mmcds.apis import remove_cds
    from mmcds.checkpoints.export import build_for_test
    from mmcds.cli.prepare import stem_of
    from mmcds.config.load_config import load_config

    cfg = load_config(config)
    torch.manual_seed(0)
    cds = build_for_test(cfg).to(device)
    stock = build_for_test(remove_cds(cfg)).to(device)
    stock.load_state_dict(cds.state_dict(), strict=False)
    image = random_image(size)
    infer = partial(predict, cfg, image, device)
    outputs, flops = [], []
    for model in (stock, cds):
        infer(model)
        with FlopCounterMode(display=False) as counter:
            outputs.append(infer(model))
        flops.append(counter.get_total_flops())
    same = len(outputs[0]) == len(outputs[1]) and all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))
    seconds: dict[int, list[float]] = {0: [], 1: []}
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            begun = time.perf_counter()
            infer((stock, cds)[which])
            seconds[which].append(time.perf_counter() - begun)
    # The least of three: what else a process happens to hold only adds.
    memory = [min(peak_of(config, size, device, with_cds) for _ in range(3)) for with_cds in (False, True)]
    ratio = np.array(seconds[1]) / np.array(seconds[0])
    name = stem_of(config)
    headlines = [
        Headline.of(f'latency: {name}', ratio),
        Headline.of(f'operations: {name}', flops[1] / flops[0]),
        Headline.of(f'memory: {name}', memory[1] / memory[0]),
        Headline.of(f'same output: {name}', float(same)),
    ]
    row = [
        name,
        f'{np.median(seconds[0]) * 1e3:.0f}',
        f'{np.median(ratio):.3f}',
        f'{ratio.min():.2f} .. {ratio.max():.2f}',
        f'{flops[1] / flops[0]:.6f}',
        'equal to the last bit' if same else 'DIFFERS',
        f'{memory[1] / memory[0]:.3f}',
    ]
    return row, headlines


def main() -> None:
    """Compare all, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', help='configs with CDS')
    parser.add_argument('--size', type=int, nargs=2, default=(480, 640), metavar=('H', 'W'), help='of the image')
    parser.add_argument('--rounds', type=int, default=11, help='timed rounds (default 11)')
    parser.add_argument('--out', type=Path, help='the Markdown page to write')
    parser.add_argument('--headlines', help='the JSON file to write for cost.py')
    args = parser.parse_args()
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    size = (args.size[0], args.size[1])
    found = [compare(config, size, args.rounds, device) for config in args.configs]
    heads = ['config', 'stock, ms', 'latency ratio (median)', 'lowest .. highest', 'FLOPs ratio', 'predictions']
    heads.append('memory ratio')
    page = '\n\n'.join(
        [
            '# Cost at inference',
            f'Written by `python benchmarks/speed/inference.py {" ".join(sys.argv[1:])}` on {machine()}; '
            f'{size[0]} x {size[1]} px, {args.rounds} alternating rounds. Ratios are the CDS model to the stock '
            'one with the same weights.',
            markdown_table(heads, [row for row, _ in found]),
        ]
    )
    print(page)
    if args.out:
        args.out.write_text(page + '\n')
    write_headlines(args.headlines, [each for _, headlines in found for each in headlines])


if __name__ == '__main__':
    run(main)
