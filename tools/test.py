"""Test a detector or classifier with the metrics of its config.

It takes the flags of mmdet's and mmpretrain's own test.py. A checkpoint of a CDS model can be tested with the stock
config or with the CDS one. In both cases the stock model is built, without the contrast.

Examples:
  python tools/test.py configs/cds/faster_rcnn_r50_cds.py work_dirs/faster_rcnn_r50_cds/epoch_12.pth
  python tools/test.py configs/cds/faster_rcnn_r18_cds_shapes.py CHECKPOINT --show-dir pictures --out out.pkl
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmcds.cli.tool import run


def parse_args() -> argparse.Namespace:
    """The arguments."""
    from mmcds.cli.options import CfgOptions

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('config', help="a config file, or '<package>::<path>' of one that a package ships")
    parser.add_argument('checkpoint', help='a checkpoint of this model, with CDS or without')
    parser.add_argument('--cds', action='store_true', help='the config is a stock one, trained with --cds')
    parser.add_argument(
        '--work-dir',
        help='where the metrics go (default work_dirs/<config name>, with --cds work_dirs/<config name>_cds, '
        'in classification work_dirs/<data set>/<config name>)',
    )
    parser.add_argument('--out', help='write the predictions to this .pkl file')
    parser.add_argument('--out-item', choices=['metrics', 'pred'], help='what --out writes (default pred)')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', help='write pictures of the predictions to this folder of the work dir')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds per picture of --show (default 2)')
    parser.add_argument('--interval', type=int, help='draw every so many images (default as in the config)')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument('--no-pin-memory', action='store_true', help='pin_memory=False in the data loader')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument('--no-data-check', action='store_true', help='do not look at the test data before the test')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, help='override parts of the config: key=value')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Prepare the config and test."""
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    from mmcds.cli.host_flags import build_runner, run_test, set_test_flags
    from mmcds.cli.prepare import check_test_data, default_work_dir, prepare_config, without_contrast
    from mmcds.models.cpu_ranks import use_cpu_ranks
    from mmcds.utils.checkpoint_files import check_checkpoint

    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise ValueError(f'--out={args.out!r} is not a pickle file; give a name that ends with .pkl')
    if args.out_item and not args.out:
        raise ValueError('--out-item says what --out writes; give --out, too')
    check_checkpoint(args.checkpoint)
    cfg = without_contrast(prepare_config(args.config, args.cfg_options, args.cds, check_data=False))
    if not args.no_data_check:
        check_test_data(cfg, args.checkpoint)
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default_work_dir(args.config, args.cds)
    set_test_flags(cfg, args)
    use_cpu_ranks(cfg, args.launcher)
    run_test(build_runner(cfg), args.out, args.out_item)


if __name__ == '__main__':
    run(main)
