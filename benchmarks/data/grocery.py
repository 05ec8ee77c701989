"""The Grocery Store data set in the form that mmpretrain's CustomDataset reads.

The original is github.com/marcusklasson/GroceryStoreDataset (MIT). Photos get a short side of 192 px and go to folders
'NUMBER_CLASS', with a list of each split. The class is the number of the folder, since a split that lacks classes would
count its folders otherwise.

Examples:
  git clone https://github.com/marcusklasson/GroceryStoreDataset work_dirs/GroceryStoreDataset
  python benchmarks/data/grocery.py work_dirs/GroceryStoreDataset work_dirs/data/grocery
  python benchmarks/data/grocery.py data/grocery.tar work_dirs/data/grocery  # the outcome, packed
"""

import argparse
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image

from mmcds.cli.tool import run

#: Photos of each split of the public original.
SIZES = {'train': 2640, 'val': 296, 'test': 2485}
SPLITS = tuple(SIZES)
SHORT_SIDE = 192


def list_images(folder: Path, split: str) -> list[str]:
    """Lines '<path> <class>' of a split's images, in the order of their names."""
    paths = sorted((folder / split).glob('*/*.jpg'))
    return [f'{path.relative_to(folder)} {int(path.parent.name.partition("_")[0])}' for path in paths]


def shrink(original: Path, out: Path, sizes: dict[str, int]) -> None:
    """Write the photos of a clone of the repository.

    Args:
        original (Path): The clone, with ``dataset/{train,val,test}.txt``.
        out (Path): Gets ``SPLIT/NUMBER_CLASS/*.jpg``.
        sizes (dict[str, int]): By split, the photos that must be listed.

    Raises:
        ValueError: If others are listed; nothing of that split is written.
    """
    source = original / 'dataset'
    for split, size in sizes.items():
        lines = (source / f'{split}.txt').read_text().splitlines()
        if len(lines) != size:
            raise ValueError(f'{source}/{split}.txt lists {len(lines)} photos, the original {size}; clone it again')
        for line in lines:
            path, number, _ = (part.strip() for part in line.split(','))
            target = out / split / f'{int(number):02d}_{Path(path).parent.name}' / Path(path).name
            target.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(source / path) as image:
                scale = SHORT_SIDE / min(image.size)
                small = image.convert('RGB').resize(
                    (round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS
                )
            small.save(target, quality=82, optimize=True)


def main() -> None:
    """Make what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('original', type=Path, help='clone of the repository, or the packed outcome, grocery.tar')
    parser.add_argument('out', type=Path, help='gets train/, val/, test/ and a list of each')
    args = parser.parse_args()
    if all((args.out / f'{split}.txt').is_file() for split in SPLITS):
        return
    if args.original.is_dir():
        shrink(args.original, args.out, SIZES)
    else:
        with tarfile.open(args.original) as archive:
            archive.extractall(args.out.parent, filter='data')
    for split in SPLITS:
        (args.out / f'{split}.txt').write_text('\n'.join(list_images(args.out, split)) + '\n')


if __name__ == '__main__':
    run(main)
