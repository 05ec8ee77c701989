"""Turns the public BCCD (github.com/Shenggan/BCCD_Dataset, MIT) into COCO's format.

Its own split: 'trainval' becomes train (292 images), 'test' becomes val (72).

Example:
  git clone https://github.com/Shenggan/BCCD_Dataset work_dirs/BCCD_Dataset
  python benchmarks/data/bccd.py work_dirs/BCCD_Dataset data/bccd
"""

import argparse
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.data.coco import Box, content_of, write_annotations
from mmcds.cli.tool import run

CLASSES = ('RBC', 'WBC', 'Platelets')
SPLITS = {'train': 'trainval', 'val': 'test'}
SIZES = {'train': (292, 3941), 'val': (72, 945)}


def read_boxes(path: Path) -> tuple[int, int, list[Box]]:
    """Width, height and boxes of a file in Pascal VOC's format; boxes without area are left out."""
    root = ElementTree.parse(path).getroot()

    def number(element: ElementTree.Element, name: str) -> int:
        return int(element.findtext(name, ''))

    try:
        size = root.find('size')
        assert size is not None
        width, height = number(size, 'width'), number(size, 'height')
        boxes: list[Box] = []
        for each in root.iter('object'):
            box = each.find('bndbox')
            assert box is not None
            left, top, right, bottom = (number(box, name) for name in ('xmin', 'ymin', 'xmax', 'ymax'))
            if right > left and bottom > top:
                boxes.append((each.findtext('name', ''), left, top, right, bottom))
    except (AssertionError, ValueError) as error:
        raise ValueError(f'{path} has no size, or an object without a box of whole numbers') from error
    return width, height, boxes


def convert(original: Path, out: Path, sizes: dict[str, tuple[int, int]]) -> None:
    """Write both splits.

    Args:
        original (Path): A clone of the repository, with its folder BCCD.
        out (Path): Gets ``train/``, ``val/`` and ``annotations/``.
        sizes (dict[str, tuple[int, int]]): By split, the images and boxes that must be found.

    Raises:
        FileNotFoundError: If a file of the original is missing.
        ValueError: If one cannot be read, or the sizes are others.
    """
    source = original / 'BCCD'
    for split, name in SPLITS.items():
        images = []
        for stem in sorted((source / 'ImageSets' / 'Main' / f'{name}.txt').read_text().split()):
            images.append((f'{stem}.jpg', *read_boxes(source / 'Annotations' / f'{stem}.xml')))
            (out / split).mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / 'JPEGImages' / f'{stem}.jpg', out / split)
        write_annotations(out, split, content_of(images, CLASSES), sizes[split])


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('original', type=Path, help='clone of the repository, with BCCD/')
    parser.add_argument('out', type=Path, help='gets train/, val/ and annotations/')
    args = parser.parse_args()
    convert(args.original, args.out, SIZES)


if __name__ == '__main__':
    run(main)
