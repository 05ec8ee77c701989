"""Draw a detector's detections beside the ground truth, for images of its validation set.

On one sheet, each image is shown twice: left its objects, right the detections with their scores in
percent. An object without a detection of its class at IoU 0.5 is marked 'missed', a detection without
such an object 'wrong'.

Examples:
  python tools/analysis/detections.py configs/shapes/faster_rcnn_r18_shapes.py CHECKPOINT --out pictures
  python tools/analysis/detections.py CONFIG CHECKPOINT --out pictures --num 24 --score-thr 0.5
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.utils.cli import run


def parse_args() -> argparse.Namespace:
    """The command line."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('config', help="a config file, or '<package>::<path>' of one that a package ships")
    parser.add_argument('checkpoint', help='a checkpoint of this model')
    parser.add_argument('--out', required=True, help='folder for detections.png')
    parser.add_argument('--num', type=int, default=8, help='images, spread over the set (default %(default)s)')
    parser.add_argument('--score-thr', type=float, default=0.3, help='smallest score shown (default %(default)s)')
    parser.add_argument('--device', default='cpu', help="where the model runs, e.g. 'cuda:0' (default %(default)s)")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override parts of the config: key=value')
    return parser.parse_args()


def main() -> None:
    """Detect, draw, write."""
    args = parse_args()
    from mmcds.utils.checkpoint import check_checkpoint
    from mmcds.utils.config import load_config
    from mmcds.visualization.detections import contact_sheet, detect, draw_example, save_sheet

    checkpoint = str(check_checkpoint(args.checkpoint))
    cfg = load_config(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope

    init_default_scope(cfg.get('default_scope') or 'mmdet')
    metainfo = DATASETS.build({**cfg.val_dataloader.dataset, 'lazy_init': True}).metainfo
    palette = metainfo.get('palette', 'random')
    examples = detect(cfg, checkpoint, args.num, args.score_thr, args.device)
    pictures = [draw_example(example, metainfo['classes'], palette) for example in examples]
    title = f'{Path(args.checkpoint).name}: left ground truth, right detections of at least {args.score_thr:g}'
    out = save_sheet(contact_sheet(pictures, title), Path(args.out) / 'detections.png')
    print(f'{out}: {len(pictures)} images')


if __name__ == '__main__':
    run(main)
