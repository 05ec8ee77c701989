r"""Turn a checkpoint of a CDS model into the stock model's, or into a backbone for another one.

Examples:
  python tools/export.py work_dirs/faster_rcnn_r50_cds/epoch_12.pth --out faster_rcnn_r50.pth \
      --config configs/cds/faster_rcnn_r50_cds.py
  python tools/export.py work_dirs/imagenet/resnet50_cds/epoch_90.pth --out r50_backbone.pth --backbone
  python tools/export.py work_dirs/retinanet_r50_cds/epoch_12.pth --out retinanet_r50.pth \
      --config configs/cds/retinanet_r50_cds.py --onnx retinanet_r50.onnx --size 800 1344

With --config the result is loaded strictly into the stock model and its output on a random image is
compared with the CDS model's, bit for bit. With --onnx the network is written as ONNX, too (of a two-stage
detector in two files), and compared with PyTorch in onnxruntime. A backbone is used in another config by
  model.backbone.init_cfg=dict(type='Pretrained', checkpoint='r50_backbone.pth')
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmcds.cli.tool import run


def main() -> None:
    """Export one checkpoint."""
    from mmcds.cli.options import CfgOptions

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='a checkpoint of a CDS model')
    parser.add_argument('--out', required=True, help='the file to write')
    parser.add_argument('--config', help='the config it was trained with; the result is then checked against it')
    parser.add_argument('--cds', action='store_true', help='the config is a stock one, trained with --cds')
    parser.add_argument(
        '--cfg-options', nargs='+', action=CfgOptions, help='what was overridden in training, for --config: key=value'
    )
    parser.add_argument('--backbone', action='store_true', help='write the backbone only, without its prefix')
    parser.add_argument('--onnx', help='an .onnx file to write as well; needs --config')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='of the images of --onnx (default 224 224)',
    )
    parser.add_argument('--force', action='store_true', help='replace a file that is there')
    args = parser.parse_args()
    from mmcds.checkpoints.export import check_export, check_has_cds, export_checkpoint
    from mmcds.checkpoints.onnx import check_onnx, export_onnx
    from mmcds.cli.prepare import prepare_config
    from mmcds.utils.checkpoint_files import check_written, renamed_last

    if args.cfg_options and not args.config:
        raise ValueError('--cfg-options changes the config of --config, which is not given')
    if args.onnx and (args.backbone or not args.config):
        raise ValueError('--onnx writes a whole model and needs its --config, without --backbone')
    if args.size and not args.onnx:
        raise ValueError('--size is that of the images of --onnx, which is not given')
    size = tuple(args.size or (224, 224))
    # All is looked at before anything is written.
    onnx = check_onnx(args.onnx, size) if args.onnx else []
    read = {'the checkpoint itself': args.checkpoint}
    check_written('--out', args.out, read)
    for each in onnx:
        check_written('--onnx', each, {**read, 'the file of --out': args.out})
    for option, path in (('--out', args.out), *(('--onnx', str(each)) for each in onnx)):
        if Path(path).exists() and not args.force:
            raise ValueError(f'{option}={path!r} exists; give another name, or --force to replace it')
    if args.config:
        check_has_cds(args.config, args.checkpoint, args.cds, args.cfg_options)
    with renamed_last(args.out) as partial:
        count, dropped = export_checkpoint(args.checkpoint, partial, backbone_only=args.backbone)
        found = ''
        if args.config:
            found = check_export(
                args.config,
                args.checkpoint,
                partial,
                add=args.cds,
                backbone_only=args.backbone,
                options=args.cfg_options,
                name=args.out,
            )
    print(f'{args.out}: {count} tensors kept, {dropped} left behind')
    if found:
        print(found)
    if args.onnx:
        cfg = prepare_config(args.config, args.cfg_options, args.cds, check_data=False)
        for part in export_onnx(cfg, args.out, args.onnx, size):
            print(
                f'{part.path}: {part.inputs} -> {part.outputs} outputs; onnxruntime differs from PyTorch by '
                f'{part.difference:.1e} of the largest value'
            )


if __name__ == '__main__':
    run(main)
