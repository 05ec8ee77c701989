"""Parts of BCCD's training set, as data sets of their own: folds to choose by, and fractions to learn from.

The recipe is chosen on a fold of the training images, so that the validation images have no say in it. A fraction
is the first so many of one shuffled order, so that a smaller one is inside a larger one.

Example:
  python benchmarks/data/bccd_parts.py data/bccd work_dirs/data/bccd
"""

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run

FRACTIONS = (10, 25, 50)
FOLD = 'screen'


def choose(content: dict[str, Any], images: list[dict[str, Any]]) -> dict[str, Any]:
    """A COCO file's content with these images alone."""
    ids = {image['id'] for image in images}
    kept = [each for each in content['annotations'] if each['image_id'] in ids]
    return {**content, 'images': images, 'annotations': kept}


def parts_of(train: dict[str, Any], val: dict[str, Any]) -> dict[str, tuple[dict[str, Any], dict[str, Any], str]]:
    """Name -> content of train and val, and the folder with the images of val."""
    order = sorted(train['images'], key=lambda image: image['id'])
    random.Random(0).shuffle(order)
    fifth = len(order) // 5
    found = {FOLD: (choose(train, order[fifth:]), choose(train, order[:fifth]), 'train')}
    for percent in FRACTIONS:
        found[str(percent)] = choose(train, order[: round(len(order) * percent / 100)]), val, 'val'
    return found


def main() -> None:
    """Write what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, help="BCCD's folder")
    parser.add_argument('out', type=Path, help='gets a folder for each part, with links to the images')
    args = parser.parse_args()
    train, val = (
        json.loads((args.source / f'annotations/instances_{split}.json').read_text()) for split in ('train', 'val')
    )
    for name, (ours, theirs, images) in parts_of(train, val).items():
        folder = args.out / name
        (folder / 'annotations').mkdir(parents=True, exist_ok=True)
        for split, content, source in (('train', ours, 'train'), ('val', theirs, images)):
            (folder / f'annotations/instances_{split}.json').write_text(json.dumps(content))
            link = folder / split
            if not link.exists():
                link.symlink_to((args.source / source).resolve())


if __name__ == '__main__':
    run(main)
