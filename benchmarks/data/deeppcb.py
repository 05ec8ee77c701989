"""Turns the public DeepPCB (github.com/tangsanli5201/DeepPCB, MIT) into COCO's format.

Its own split: 'trainval' becomes train (1,000 images), 'test' becomes val (500). Only the tested boards are taken, not
their templates. They are black and white, so they are written as PNG of one bit.

Example:
  git clone https://github.com/tangsanli5201/DeepPCB work_dirs/DeepPCB
  python benchmarks/data/deeppcb.py work_dirs/DeepPCB data/deeppcb
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image

from benchmarks.data.coco import Box, content_of, write_annotations
from mmcds.cli.tool import run

CLASSES = ('open', 'short', 'mousebite', 'spur', 'copper', 'pin-hole')
SPLITS = {'train': 'trainval', 'val': 'test'}
SIZES = {'train': (1000, 6873), 'val': (500, 3140)}


def read_boxes(path: Path) -> list[Box]:
    """Boxes of a file with lines 'left top right bottom kind', kinds from 1 in the order of ``CLASSES``."""
    boxes: list[Box] = []
    for line in path.read_text().splitlines():
        if not line.strip():
            continue
        try:
            left, top, right, bottom, kind = map(int, line.split())
            boxes.append((dict(enumerate(CLASSES, 1))[kind], left, top, right, bottom))
        except (ValueError, KeyError) as error:
            raise ValueError(
                f"{path}: line {line!r} is not 'left top right bottom kind' with kind from 1 to {len(CLASSES)}"
            ) from error
    return boxes


def convert(original: Path, out: Path, sizes: dict[str, tuple[int, int]]) -> None:
    """Write both splits.

    Args:
        original (Path): A clone of the repository, with its folder PCBData.
        out (Path): Gets ``train/``, ``val/`` and ``annotations/``.
        sizes (dict[str, tuple[int, int]]): By split, the images and boxes that must be found.

    Raises:
        FileNotFoundError: If a file of the original is missing.
        ValueError: If one cannot be read, or the sizes are others.
    """
    source = original / 'PCBData'
    for split, name in SPLITS.items():
        images = []
        (out / split).mkdir(parents=True, exist_ok=True)
        # Lines 'group/folder/NUMBER.jpg group/folder_not/NUMBER.txt'; the tested board is NUMBER_test.jpg.
        for line in (source / f'{name}.txt').read_text().splitlines():
            board, _, labels = line.partition(' ')
            with Image.open(source / board.replace('.jpg', '_test.jpg')) as image:
                black_and_white = image.convert('L').point(lambda value: 255 * (value > 127)).convert('1')
            file_name = f'{Path(board).stem}.png'
            black_and_white.save(out / split / file_name, optimize=True)
            images.append((file_name, *black_and_white.size, read_boxes(source / labels.strip())))
        write_annotations(out, split, content_of(images, CLASSES), sizes[split])


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('original', type=Path, help='clone of the repository, with PCBData/')
    parser.add_argument('out', type=Path, help='gets train/, val/ and annotations/')
    args = parser.parse_args()
    convert(args.original, args.out, SIZES)


if __name__ == '__main__':
    run(main)
