"""Draw a detector's detections beside the ground truth, for images of its validation set.

Each image is shown twice: on the left with its objects, on the right with the detections and their scores in percent.
An object without a detection of its class at IoU 0.5 is 'missed', a detection without such an object is 'wrong'. The
colour of the label says which. With --against, the halves show two models on the same image. An object that only one of
them found is 'gained' or 'lost'. A label without room beside its box is left out.

Examples:
  python tools/analysis/detections.py configs/shapes/faster_rcnn_r18_shapes.py CHECKPOINT --out pictures
  python tools/analysis/detections.py CONFIG CHECKPOINT --out pictures --num 24 --score-thr 0.5
  python tools/analysis/detections.py CDS_CONFIG CDS_CHECKPOINT --against STOCK_CONFIG STOCK_CHECKPOINT --out pictures
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run


def parse_args() -> argparse.Namespace:
    """The command line."""
    from mmcds.cli.named_models import model_parser

    parser = model_parser(__doc__, against='another model, shown on the left')
    parser.add_argument('--out', required=True, help='folder for detections.png')
    parser.add_argument('--num', type=int, default=8, help='images, spread over the set (default %(default)s)')
    parser.add_argument('--score-thr', type=float, default=0.3, help='smallest score shown (default %(default)s)')
    return parser.parse_args()


def main() -> None:
    """Detect, draw, write."""
    args = parse_args()
    from mmcds.analysis.pictures.box_labels import Remark
    from mmcds.analysis.pictures.detections import contact_sheet, detect, draw_change, draw_example
    from mmcds.analysis.pictures.save import save_figure
    from mmcds.cli.named_models import named_models
    from mmcds.cli.prepare import host_of

    models = named_models(args)
    for model in models:
        if host_of(model.cfg) != 'mmdet':
            raise ValueError(f'config={model.config!r} is no detector; give one of mmdet (default_scope)')
    found = [detect(model.cfg, model.checkpoint, args.num, args.score_thr, args.device) for model in models]
    cfg = models[-1].cfg
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope

    init_default_scope(cfg.get('default_scope') or 'mmdet')
    metainfo = DATASETS.build({**cfg.val_dataloader.dataset, 'lazy_init': True}).metainfo
    classes, palette = metainfo['classes'], metainfo.get('palette', 'random')
    if args.against:
        pictures = [draw_change(a, b, classes, palette) for a, b in zip(*found, strict=True)]
        left, right = (model.name for model in models)
        title, name = f'detections of at least {args.score_thr:g}: left {left}, right {right}', 'changes.png'
        remarks = list(Remark)
    else:
        pictures = [draw_example(example, classes, palette) for example in found[0]]
        title = f'{models[0].name}: left ground truth, right detections of at least {args.score_thr:g}'
        name, remarks = 'detections.png', [Remark.NONE, Remark.MISSED, Remark.WRONG]
    out = save_figure(contact_sheet(pictures, title, remarks=remarks), Path(args.out) / name)
    print(f'{out}: {len(pictures)} images')


if __name__ == '__main__':
    run(main)
