"""What is left of CDS at inference: latency, FLOPs, memory and output of the CDS model beside the stock one.

Both have the same random weights and see the same random image; they take turns. Run it on a quiet machine.

Example:
  python tools/benchmark/inference.py configs/cds/faster_rcnn_r50_cds.py configs/cds/retinanet_r50_cds.py \
      --size 480 640 --out docs/cost/inference.md
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.headline import Headline, machine, markdown_table, write_headlines
from benchmarks.memory import begin_peak, peak_mib
from mmcds.utils.cli import run


def compare(config: str, size: tuple[int, int], rounds: int, device: str) -> tuple[list[str], list[Headline]]:
    """One row: the CDS model against the stock one, and what of it goes into the table of all costs."""
    from mmcds.apis import remove_cds
    from mmcds.export import build_for_test, sample_class, tensors
    from mmcds.utils.config import load_config
    from mmcds.utils.prepare import stem_of

    cfg = load_config(config)
    torch.manual_seed(0)
    cds = build_for_test(cfg).to(device)
    stock = build_for_test(remove_cds(cfg)).to(device)
    stock.load_state_dict(cds.state_dict(), strict=False)
    image = torch.randint(256, (3, *size), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), img_id=0)

    def infer(model: torch.nn.Module) -> list[torch.Tensor]:
        sample = sample_class(cfg)(metainfo=dict(meta))
        with torch.no_grad():
            predicted = model.test_step({'inputs': [image], 'data_samples': [sample]})[0]  # type: ignore[operator]
        if device == 'cuda':
            torch.cuda.synchronize()
        return tensors(dict((predicted.pred_instances if 'pred_instances' in predicted else predicted).items()))

    outputs, flops, memory = [], [], []
    for model in (stock, cds):
        infer(model)
        if device == 'cuda':
            torch.cuda.reset_peak_memory_stats()
        else:
            begin_peak()
        with FlopCounterMode(display=False) as counter:
            outputs.append(infer(model))
        flops.append(counter.get_total_flops())
        # On a CPU that of the process, which holds both models.
        memory.append(torch.cuda.max_memory_allocated() / 2**20 if device == 'cuda' else peak_mib())
    same = len(outputs[0]) == len(outputs[1]) and all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))
    seconds: dict[int, list[float]] = {0: [], 1: []}
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            begun = time.perf_counter()
            infer((stock, cds)[which])
            seconds[which].append(time.perf_counter() - begun)
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
            f'Written by `python tools/benchmark/inference.py {" ".join(sys.argv[1:])}` on {machine()}; '
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
