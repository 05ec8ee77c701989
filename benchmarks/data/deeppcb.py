"""Turns the public DeepPCB (github.com/tangsanli5201/DeepPCB, MIT) into COCO's format.

Its own split: 'trainval' becomes train (1,000 images), 'test' becomes val (500). Only the tested boards are taken, not
their templates. They are black and white, so they are written as PNG of one bit.

Example:
  git clone https://github.com/tangsanli5201/DeepPCB work_dirs/DeepPCB
  python benchmarks/data/deeppcb.py work_dirs/DeepPCB data/deeppcb
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import PIL.Image

from benchmarks.data import coco
from benchmarks.data.coco import Box, Image
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


def read_split(original: Path, split: str, target: Path) -> list[Image]:
    """Write the tested boards of a split to ``target``, and read their boxes from PCBData."""
    source = original / 'PCBData'
    images: list[Image] = []
    # Lines 'group/folder/NUMBER.jpg group/folder_not/NUMBER.txt'; the tested board is NUMBER_test.jpg.
    for line in (source / f'{SPLITS[split]}.txt').read_text().splitlines():
        board, _, labels = line.partition(' ')
        with PIL.Image.open(source / board.replace('.jpg', '_test.jpg')) as image:
            black_and_white = image.convert('L').point(lambda value: 255 * (value > 127)).convert('1')
        file_name = f'{Path(board).stem}.png'
        black_and_white.save(target / file_name, optimize=True)
        images.append((file_name, *black_and_white.size, read_boxes(source / labels.strip())))
    return images


#: Takes the original's folder, the one to write and the sizes to be found.
convert = partial(coco.convert, read_split, CLASSES)


if __name__ == '__main__':
    run(lambda: convert(*coco.folders(__doc__), SIZES))
