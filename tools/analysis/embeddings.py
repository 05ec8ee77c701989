"""Draw the features of each tap as a map in two dimensions, coloured by class, for one model or two.

A point is an annotated object of a detector, or an image of a classifier. Three numbers stand under each map: the
accuracy of the nearest neighbours among the other points, alignment (mean squared distance within a class) and
uniformity (the lower, the more evenly the points fill the sphere). They are computed from the features, not from the
map. With --crops, some points of the last tap are drawn as image crops.

Examples:
  python tools/analysis/embeddings.py configs/cds/faster_rcnn_r18_cds_shapes.py CHECKPOINT --out maps
  python tools/analysis/embeddings.py CONFIG CHECKPOINT --against STOCK_CONFIG STOCK_CHECKPOINT --method umap --crops 20
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run


def parse_args() -> argparse.Namespace:
    """The command line."""
    from mmcds.cli.named_models import model_parser

    parser = model_parser(__doc__, against='another model to draw above this one, the stock')
    parser.add_argument('--taps', nargs='+', help="such as backbone.2 neck.0 (default the CDSNeck's, or all stages)")
    parser.add_argument(
        '--kind',
        choices=['feature', 'embedding'],
        default='feature',
        help="the tap's features, which both models have, or what its projector makes of them (default %(default)s)",
    )
    parser.add_argument('--method', default='tsne', help='pca, tsne or umap (default %(default)s)')
    parser.add_argument('--split', choices=['train', 'test'], default='test', help='of the data (default %(default)s)')
    parser.add_argument('--max-images', type=int, default=500, help='images, spread over the set; 0: all (default 500)')
    parser.add_argument('--neighbours', type=int, default=20, help='k of the k nearest (default %(default)s)')
    parser.add_argument('--crops', type=int, default=0, help='points of the last tap drawn as image crops (default 0)')
    parser.add_argument('--seed', type=int, default=0, help='of the map (default 0)')
    parser.add_argument('--out', default='embeddings', help='folder for the figures and numbers (default %(default)s)')
    return parser.parse_args()


def main() -> None:
    """Embed, measure, draw, write."""
    args = parse_args()
    from mmcds.analysis.metrics.embedding_quality import measure
    from mmcds.analysis.pictures import embedding_map as maps
    from mmcds.analysis.pictures.save import save_figure
    from mmcds.analysis.probing.embed_checkpoint import embed_checkpoint
    from mmcds.cli.named_models import named_models
    from mmcds.utils.errors import check_count, unknown_name
    from mmcds.utils.extras import need_analysis

    need_analysis('sklearn')
    if args.method not in maps.METHODS:
        raise unknown_name('--method', args.method, maps.METHODS)
    check_count('--max-images', args.max_images, 0)
    check_count('--crops', args.crops, 0)
    rows: list[list[maps.Panel]] = []
    written, last = [], None
    taps: Any = args.taps
    # The model itself comes first, since its CDSNeck says what to look at.
    for model in reversed(named_models(args)):
        embedded = embed_checkpoint(model.cfg, model.checkpoint, taps, args.split, args.max_images, args.device)
        found = getattr(embedded.found, f'{args.kind}s')
        without = [tap for tap in embedded.found.features if tap not in found]
        if not found or (args.taps and without):
            raise ValueError(
                f'--kind=embedding: {model.checkpoint} has no projectors with weights for {without}; give '
                '--kind feature, other --taps, or a checkpoint of training with CDS'
            )
        if without:
            print(f'left out, having no projector with weights: {", ".join(without)}')
        taps = taps or list(found)
        panels = []
        for tap, values in found.items():
            quality = measure(values, embedded.found.labels, args.neighbours)
            points = maps.reduce_to_plane(values.numpy(), args.method, args.seed)
            name = f'{model.name}: {tap}'
            panels.append(maps.Panel(name, points, embedded.found.labels.numpy(), quality.text()))
            written.append({'config': model.config, 'checkpoint': model.checkpoint, 'tap': tap, **quality.numbers()})
        rows.insert(0, panels)
        last = last or (panels[-1], embedded)
    assert last is not None
    panel, embedded = last
    title = f'{args.kind}s of {len(panel.labels)} {"objects" if embedded.data.detects else "images"}, {args.method}'
    out = Path(args.out)
    print(save_figure(maps.draw_maps(rows, embedded.classes, title), out / 'maps.png'))
    if args.crops:
        chosen = maps.farthest_points(panel.points, args.crops)
        figure = maps.draw_crops(panel, {row: embedded.crop(row) for row in chosen}, embedded.classes)
        print(save_figure(figure, out / 'crops.png'))
    (out / 'embeddings.json').write_text(json.dumps(written, indent=2) + '\n')
    print(out / 'embeddings.json')


if __name__ == '__main__':
    run(main)
