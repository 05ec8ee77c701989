"""Turns the public BCCD (github.com/Shenggan/BCCD_Dataset, MIT) into COCO's format.

Its own split: 'trainval' becomes train (292 images), 'test' becomes val (72).

Example:
  git clone https://github.com/Shenggan/BCCD_Dataset work_dirs/BCCD_Dataset
  python benchmarks/data/bccd.py work_dirs/BCCD_Dataset data/bccd
"""

import shutil
import sys
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.data import coco
from benchmarks.data.coco import Box, Image
from mmcds.cli.tool import run

CLASSES = ('RBC', 'WBC', 'Platelets')
SPLITS = {'train': 'trainval', 'val': 'test'}
SIZES = {'train': (292, 3941), 'val': (72, 945)}


def read_boxes(path: Path) -> tuple[int, int, list[Box]]:
    """Width, height and boxes of a file in Pascal VOC's format; boxes without area are left out."""
    root = ElementTree.parse(path).getroot()
    boxes: list[Box] = []
    try:
        width, height = (int(root.findtext(f'size/{name}', '')) for name in ('width', 'height'))
        for each in root.iter('object'):
            left, top, right, bottom = (
                int(each.findtext(f'bndbox/{name}', '')) for name in ('xmin', 'ymin', 'xmax', 'ymax')
            )
            if right > left and bottom > top:
                boxes.append((each.findtext('name', ''), left, top, right, bottom))
    except ValueError as error:
        raise ValueError(f'{path} has no size, or an object without a box of whole numbers') from error
    return width, height, boxes


def read_split(original: Path, split: str, target: Path) -> list[Image]:
    """Copy the images of a split to ``target``, and read their boxes from BCCD/Annotations."""
    source = original / 'BCCD'
    images: list[Image] = []
    for stem in sorted((source / 'ImageSets' / 'Main' / f'{SPLITS[split]}.txt').read_text().split()):
        images.append((f'{stem}.jpg', *read_boxes(source / 'Annotations' / f'{stem}.xml')))
        shutil.copy2(source / 'JPEGImages' / f'{stem}.jpg', target)
    return images


#: Takes the original's folder, the one to write and the sizes to be found.
convert = partial(coco.convert, read_split, CLASSES)


if __name__ == '__main__':
    run(lambda: convert(*coco.folders(__doc__), SIZES))
