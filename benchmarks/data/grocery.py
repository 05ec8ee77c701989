"""Unpacks the Grocery Store data set and lists its images, as mmpretrain's CustomDataset reads them.

The class is the two-digit prefix of a folder, since a split that lacks classes would count its folders otherwise.

Example:
  python benchmarks/data/grocery.py ../shared/data/grocery.tar work_dirs/data/grocery
"""

import argparse
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run

SPLITS = ('train', 'val', 'test')


def list_images(folder: Path, split: str) -> list[str]:
    """Lines '<path> <class>' of a split's images, in the order of their names."""
    paths = sorted((folder / split).glob('*/*.jpg'))
    return [f'{path.relative_to(folder)} {int(path.parent.name.partition("_")[0])}' for path in paths]


def main() -> None:
    """Unpack and list what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('archive', type=Path, help='grocery.tar')
    parser.add_argument('out', type=Path, help='gets train/, val/, test/ and a list of each')
    args = parser.parse_args()
    if all((args.out / f'{split}.txt').is_file() for split in SPLITS):
        return
    with tarfile.open(args.archive) as archive:
        archive.extractall(args.out.parent, filter='data')
    for split in SPLITS:
        (args.out / f'{split}.txt').write_text('\n'.join(list_images(args.out, split)) + '\n')


if __name__ == '__main__':
    run(main)
