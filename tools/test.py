"""Test a detector or classifier with the metrics of its config.

The work is done by mmdet's or mmpretrain's own test.py. A checkpoint of a CDS model is tested as well
by the stock config as by the CDS one: either way the stock model is built, and nothing of the contrast.

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


def parse_args() -> tuple[argparse.Namespace, list[str]]:
    """Our arguments, and those that only the host's tool knows."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('config', help="a config file, or '<package>::<path>' of one that a package ships")
    parser.add_argument('checkpoint', help='a checkpoint of this model, with CDS or without')
    parser.add_argument('--cds', action='store_true', help='the config is a stock one, trained with --cds')
    parser.add_argument('--work-dir', help='where the metrics go (default work_dirs/<config name>)')
    parser.add_argument('--out', help='write the predictions to this .pkl file')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', help='write pictures of the predictions to this folder of the work dir')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds per picture of --show (default 2)')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument('--no-data-check', action='store_true', help='do not look at the test data before the test')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override parts of the config: key=value')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_known_args()


def main() -> None:
    """Prepare the config and hand over to the host's test.py."""
    args, rest = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    from mmcds.cli.prepare import check_test_data, default_work_dir, host_of, prepare_config, stem_of, without_contrast
    from mmcds.cli.tool import host_tool, prepared
    from mmcds.models.cpu_ranks import use_cpu_ranks
    from mmcds.utils.checkpoint_files import check_checkpoint

    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise ValueError(f'--out={args.out!r} is not a pickle file; give a name that ends with .pkl')
    check_checkpoint(args.checkpoint)
    cfg = without_contrast(prepare_config(args.config, args.cfg_options, args.cds, check_data=False))
    if not args.no_data_check:
        check_test_data(cfg, args.checkpoint)
    name = stem_of(args.config) + ('_cds' if args.cds else '')
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default_work_dir(args.config, args.cds)

    argv = [
        f'{name}.py',
        args.checkpoint,
        '--launcher',
        args.launcher,
        '--local_rank',
        str(args.local_rank),
        *rest,
    ]
    argv += ['--out', args.out] if args.out else []
    argv += ['--show', '--wait-time', str(args.wait_time)] if args.show else []
    argv += ['--show-dir', args.show_dir] if args.show_dir else []
    argv += ['--tta'] if args.tta else []
    host = host_tool(host_of(cfg), 'test.py')
    use_cpu_ranks(cfg, args.launcher)
    with prepared(host, cfg, argv):
        host.main()


if __name__ == '__main__':
    run(main)
