r"""Draw training images as the model receives them, with the boxes that are compared.

The images have passed the training pipeline, the data preprocessor and the view of the config, which is the same image
or makes a second one beside it. No model is built and no checkpoint is needed. Look at the picture before a long
training: each box must lie on its object in every view, and the object must be recognisable.

Examples:
  python tools/analysis/views.py configs/cds/faster_rcnn_r18_cds_shapes.py --out views.png
  python tools/analysis/views.py configs/cds/faster_rcnn_r50_cds.py --num 12 --cfg-options data_root=/data/coco/ \
      model.neck.view.type=PhotometricView model.neck.view.scale=0.5
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    """The command line."""
    from mmcds.cli.options import CfgOptions

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('config', help="a config file, or '<package>::<path>' of one that a package ships")
    parser.add_argument('--cds', action='store_true', help='the config is a stock one; add CDS to it')
    parser.add_argument('--num', type=int, default=6, help='images, spread over the training set (default 6)')
    parser.add_argument('--seed', type=int, default=0, help='of the augmentation (default 0)')
    parser.add_argument('--out', default='views.png', help='.png, .svg or .pdf to write (default %(default)s)')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, help='override parts of the config: key=value')
    return parser.parse_args()


def main() -> None:
    """Load, augment, draw, write."""
    args = parse_args()
    from mmcds.analysis.pictures.save import save_figure
    from mmcds.analysis.pictures.view_sheet import draw_views, training_views
    from mmcds.cli.prepare import prepare_config

    cfg = prepare_config(args.config, args.cfg_options, args.cds, check_data=True, teacher=False)
    found, classes = training_views(cfg, args.num, args.seed)
    title = f'{Path(args.config).name}: {type_of_view(cfg)}'
    print(f'{save_figure(draw_views(found, classes, title), args.out)}: {len(found)} images')


def type_of_view(cfg: 'Config') -> str:
    """The view that a config asks for, for the title."""
    from mmcds.config.add_cds import supervised_model
    from mmcds.models.necks import view_of

    view = dict(view_of(supervised_model(cfg).neck))
    return ' '.join([str(view.pop('type')), *(f'{key}={value}' for key, value in view.items())])


if __name__ == '__main__':
    run(main)
