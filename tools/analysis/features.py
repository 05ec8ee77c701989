r"""Draw the features of taps as heat maps over an image, for one trained model or two.

A heat map shows the norm of a tap's feature at each position, over the image as the model receives it. With
--similar-to it shows the cosine similarity of each position to the given one. With --channels, the channels with the
highest variance are drawn as well.

Examples:
  python tools/analysis/features.py configs/cds/faster_rcnn_r18_cds_shapes.py CHECKPOINT IMAGE --out maps
  python tools/analysis/features.py CONFIG CHECKPOINT IMAGE --against STOCK_CONFIG STOCK_CHECKPOINT \
      --taps backbone.1 backbone.3 neck.0 --similar-to 120 80
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run


def parse_args() -> argparse.Namespace:
    """The command line."""
    from mmcds.cli.named_models import model_parser

    parser = model_parser(__doc__, against='another model, drawn above this')
    parser.add_argument('image', help='an image file')
    parser.add_argument('--taps', nargs='+', help='such as backbone.2 neck.0 (default all outputs of the backbone)')
    parser.add_argument('--similar-to', nargs=2, type=float, metavar=('X', 'Y'), help='a place, in pixels of the file')
    parser.add_argument('--channels', type=int, default=0, help='channels of each tap to draw (default 0)')
    parser.add_argument('--out', default='features', help='folder for the figures (default %(default)s)')
    return parser.parse_args()


def main() -> None:
    """Run, draw, write."""
    args = parse_args()
    from mmcds.analysis.pictures import feature_maps
    from mmcds.analysis.pictures.save import save_figure
    from mmcds.cli.named_models import named_models
    from mmcds.utils.errors import check_count

    place = tuple(args.similar_to) if args.similar_to else None
    check_count('--channels', args.channels, 0)
    found = []
    for model in named_models(args):
        maps = feature_maps.tap_maps(model.cfg, model.checkpoint, args.image, args.taps, args.device, place)
        found.append(replace(maps, name=model.name))
        if list(found[0].maps) != list(maps.maps):
            raise ValueError(
                f"--against: its taps are {list(found[0].maps)}, the model's {list(maps.maps)}; name with --taps what "
                'both have'
            )
    name, out = Path(args.image).stem, Path(args.out)
    print(save_figure(feature_maps.draw_heat(found, Path(args.image).name), out / f'{name}.png'))
    for tap in found[0].maps if args.channels else ():
        figure = feature_maps.draw_channels(found, tap, args.channels, f'{Path(args.image).name}, {tap}')
        print(save_figure(figure, out / f'{name}_{tap}.png'))


if __name__ == '__main__':
    run(main)
