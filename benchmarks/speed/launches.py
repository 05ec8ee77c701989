"""Count the kernels that a training step launches, for each config beside the stock one.

On a fast GPU with few images a step takes as long as its kernels take to launch, whatever they compute, so that their
number says more about its time than their operations, and no GPU is needed to count them: the operators that torch
dispatches, apart from those that only view or allocate, with one kernel each. mmcv's own operators, which torch does
not dispatch, are not counted (the RoIAlign of each tap and view is one).

Examples:
  python benchmarks/speed/launches.py --out docs/cost/launches.md
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from torch.utils._python_dispatch import TorchDispatchMode

from mmcds.cli.tool import run

DETECTORS = {
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py': 'configs/cds/faster_rcnn_r50_cds.py',
    'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py': 'configs/cds/retinanet_r50_cds.py',
}
SINGLE = {'model.neck.view': dict(type='SingleView')}
TWO = {'model.neck.view': dict(type='PhotometricView', scale=0.5)}
VARIANTS: dict[str, dict[str, Any]] = {
    "one view: `view=dict(type='SingleView')`": SINGLE,
    'one view, `sampler.jitter=0.2`, `sampler.near=2`': {
        **SINGLE,
        'model.neck.sampler': dict(type='InstanceSampler', jitter=0.2, near=2),
    },
    'two views in one batch, packed: `concat=True`': {**TWO, 'model.neck.concat': True},
    'two views': TWO,
    'two views, second view kept: `recompute=False`': {**TWO, 'model.neck.recompute': False},
    'two views, no gradient through the second view: `stop_gradient=True`': {**TWO, 'model.neck.stop_gradient': True},
}
SIDE = 128  # px; hardly any number depends on it
#: What launches nothing beside what is a view of something.
FREE = ('detach', 'empty', 'new_empty', 'lift_fresh', '_unsafe_view', '_record_function')


class LaunchCounter(TorchDispatchMode):
    """Counts operators by name while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called for each operator, those of the backward pass included."""
        name = func.overloadpacket.__name__
        if not func.is_view and not name.startswith(FREE):
            self.found[name] += 1
        return func(*args, **(kwargs or {}))

    @property
    def launches(self) -> int:
        """Kernels."""
        return self.found.total()


def count(config: str, options: dict[str, Any], batch: int) -> LaunchCounter:
    """One training step of a config, after one that is not counted."""
    from benchmarks.speed.steps import make_side, pipeline_of
    from mmcds.config.load_config import load_config

    cfg = load_config(config)
    cfg.merge_from_dict(options)
    for step in pipeline_of(cfg):
        if step['type'] == 'Resize':
            step['scale'] = (SIDE, SIDE)
    # All weights in one call, as torch does by default on a GPU.
    cfg.optim_wrapper.optimizer.foreach = True
    side = make_side(config, cfg, batch, (SIDE, SIDE), 'cpu')
    side.step()
    with LaunchCounter() as counter:
        side.step()
    return counter


def main() -> None:
    """Count, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, nargs='+', default=[2, 8], help='images of a batch (default 2 8)')
    parser.add_argument('--out', type=Path, help='the Markdown page to write')
    parser.add_argument('--headlines', help='the JSON file to write for cost.py')
    args = parser.parse_args()
    from benchmarks.speed.headline import Headline, markdown_table, write_headlines
    from mmcds.cli.prepare import stem_of

    lines, headlines = [], []
    for stock, cds in DETECTORS.items():
        for batch in args.batch:
            base = count(stock, {}, batch)
            for name, options in (('stock', None), *VARIANTS.items()):
                found = base if options is None else count(cds, options, batch)
                ratio = found.launches / base.launches
                lines.append([f'{stem_of(cds)}, {batch} images: {name}', f'{found.launches}', f'{ratio:.2f}'])
                headlines.append(Headline.of(f'launches {batch}: {stem_of(cds)}, {name}', ratio))
    page = (
        f'# Operators of a training step\n\nWritten by `python benchmarks/speed/launches.py {" ".join(sys.argv[1:])}`. '
        'Operators dispatched in forward pass, backward pass and optimiser, without those that only view or allocate '
        "and without mmcv's own.\n\n"
        f'{markdown_table(["step", "operators", "ratio to the stock"], lines)}\n'
    )
    print(page)
    if args.out:
        args.out.write_text(page)
    write_headlines(args.headlines, headlines)


if __name__ == '__main__':
    run(main)
