"""Train a detector or classifier, with contrastive deep supervision where asked.

It takes the flags of mmdet's and mmpretrain's own train.py. In addition there are `--cds`, config names such as
`mmdet::fcos/...`, a `data_root` that is set in all data sets, and checks of the data before the model is built.

Examples:
  python tools/train.py configs/cds/faster_rcnn_r50_cds.py --cfg-options data_root=/data/coco/
  python tools/train.py mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py --cds
  python tools/train.py configs/cds/faster_rcnn_r18_cds_shapes.py --resume
"""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmcds.cli.tool import run

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    """The arguments."""
    from mmcds.cli.options import CfgOptions

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('config', help="a config file, or '<package>::<path>' of one that a package ships")
    parser.add_argument('--cds', action='store_true', help='add contrastive deep supervision to the config')
    parser.add_argument(
        '--work-dir',
        help='where logs and checkpoints go (default work_dirs/<config name>, with --cds work_dirs/<config name>_cds, '
        'in classification work_dirs/<data set>/<config name>)',
    )
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate to the batch size')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from the latest checkpoint of the work dir, or from this one',
    )
    parser.add_argument(
        '--no-data-check',
        action='store_true',
        help='do not look at annotation files and images before training; broken images are still skipped in training',
    )
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    parser.add_argument('--no-pin-memory', action='store_true', help='pin_memory=False in all data loaders')
    parser.add_argument('--no-persistent-workers', action='store_true', help='data loader workers end with each epoch')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        help='override parts of the config: key=value; data_root=... reaches all data sets, '
        'model.neck.taps="[backbone.3]" and the like reach the CDSNeck',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def print_export_command(cfg: 'Config', config: str, arguments: list[str]) -> None:
    """The command that writes the stock model's checkpoint, after a training with CDS.

    Args:
        cfg (Config): The config that was trained, with its ``work_dir``.
        config (str): The config as the user named it.
        arguments (list[str]): Of the training command.
    """
    from mmengine.dist import get_rank

    from mmcds.apis import has_cds
    from mmcds.cli.options import words_of

    last = Path(cfg.work_dir, 'last_checkpoint')
    if get_rank() or not has_cds(cfg) or not last.is_file():
        return
    checkpoint = os.path.relpath(last.read_text().strip())
    words = [checkpoint, '--config', config, *(['--cds'] if '--cds' in arguments else [])]
    options = words_of(arguments, '--cfg-options')
    words += ['--cfg-options', *options] if options else []
    words += ['--out', f'{Path(checkpoint).with_suffix("")}_stock.pth']
    tool = os.path.relpath(Path(__file__).with_name('export.py'))
    print(f'the stock model of the last checkpoint: {shlex.join(["python", tool, *words])}')


def main() -> None:
    """Prepare the config and train."""
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    from mmcds.checkpoints.files import check_resume
    from mmcds.cli.host_flags import build_runner, set_train_flags
    from mmcds.cli.prepare import check_training_data, default_work_dir, prepare_config, prepare_training
    from mmcds.engine.hooks import ResumeCheckHook
    from mmcds.models.cpu_ranks import use_cpu_ranks
    from mmcds.utils.checkpoint_files import check_checkpoint

    # A distilled student's teacher has to be there either way.
    cfg = prepare_config(args.config, args.cfg_options, args.cds, check_data=not args.no_data_check, teacher=True)
    if args.no_data_check:
        check_training_data(cfg, look=False)
    prepare_training(cfg, args.amp, args.auto_scale_lr)
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default_work_dir(args.config, args.cds)
    resumed = check_resume(args.resume, cfg.work_dir)
    if cfg.get('load_from') and resumed is None:
        check_checkpoint(cfg.load_from)

    set_train_flags(cfg, args, resumed)
    use_cpu_ranks(cfg, args.launcher)
    runner = build_runner(cfg)
    # Not in the config, which the run writes down for others.
    runner.register_hook(ResumeCheckHook())
    runner.train()
    print_export_command(cfg, args.config, sys.argv[1:])


if __name__ == '__main__':
    run(main)
