r"""Draw what the taps of one or two trained models see in an image.

Heat maps lie over the image as the model received it: the strength of a tap's map, or, with --similar-to, how similar
every place is to one of them, which is what the contrast changes. With --channels the liveliest channels of every tap
are drawn, too.

Examples:
  python tools/analysis/features.py configs/cds/faster_rcnn_r18_cds_shapes.py CHECKPOINT IMAGE --out maps
  python tools/analysis/features.py CONFIG CHECKPOINT IMAGE --against STOCK_CONFIG STOCK_CHECKPOINT \
      --taps backbone.1 backbone.3 neck.0 --similar-to 120 80
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
    parser.add_argument('checkpoint', help='a checkpoint of this model, with CDS or without')
    parser.add_argument('image', help='an image file')
    parser.add_argument('--cds', action='store_true', help='the config is a stock one, trained with --cds')
    parser.add_argument('--against', nargs=2, metavar=('CONFIG', 'CHECKPOINT'), help='another model, drawn above this')
    parser.add_argument('--taps', nargs='+', help='such as backbone.2 neck.0 (default all outputs of the backbone)')
    parser.add_argument('--similar-to', nargs=2, type=float, metavar=('X', 'Y'), help='a place, in pixels of the file')
    parser.add_argument('--channels', type=int, default=0, help='channels of each tap to draw (default 0)')
    parser.add_argument('--out', default='features', help='folder for the figures (default %(default)s)')
    parser.add_argument('--device', default='cpu', help="where the models run, e.g. 'cuda:0' (default %(default)s)")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override parts of both configs: key=value')
    return parser.parse_args()


def main() -> None:
    """Run, draw, write."""
    args = parse_args()
    from mmcds.utils.checkpoint import check_checkpoint
    from mmcds.utils.device import check_device
    from mmcds.utils.errors import check_count
    from mmcds.utils.prepare import prepare_config
    from mmcds.visualization import feature_maps
    from mmcds.visualization.embedding_map import save_figure

    models = [(args.config, args.checkpoint, args.cds)]
    if args.against:
        models.insert(0, (*args.against, False))
    place = tuple(args.similar_to) if args.similar_to else None
    check_device(args.device)
    check_count('--channels', args.channels, 0)
    found = []
    for config, checkpoint, cds in models:
        check_checkpoint(checkpoint)
        cfg = prepare_config(config, args.cfg_options, cds, check_data=False)
        found.append(feature_maps.tap_maps(cfg, checkpoint, args.image, args.taps, args.device, place))
        if list(found[0].maps) != list(found[-1].maps):
            raise ValueError(
                f"--against: its taps are {list(found[0].maps)}, the model's {list(found[-1].maps)}; name with --taps "
                'what both have'
            )
    name, out = Path(args.image).stem, Path(args.out)
    print(save_figure(feature_maps.draw_heat(found, Path(args.image).name), out / f'{name}.png'))
    for tap in found[0].maps if args.channels else ():
        figure = feature_maps.draw_channels(found, tap, args.channels, f'{Path(args.image).name}, {tap}')
        print(save_figure(figure, out / f'{name}_{tap}.png'))


if __name__ == '__main__':
    run(main)
