"""Writes a data set's folder in COCO's format: ``train/``, ``val/`` and ``annotations/instances_{train,val}.json``."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmcds.utils.checkpoint_files import renamed_last

#: Class, then left, top, right and bottom in pixels.
Box = tuple[str, float, float, float, float]
#: File name, width and height in pixels, and boxes of an image.
Image = tuple[str, int, int, Sequence[Box]]
#: Takes the folder of the original, a split and the folder that its images are written to; returns the images.
ReadSplit = Callable[[Path, str, Path], Sequence[Image]]


def convert(
    read_split: ReadSplit,
    classes: Sequence[str],
    original: Path,
    out: Path,
    sizes: Mapping[str, tuple[int, int]],
) -> None:
    """Write all splits of a data set.

    Args:
        read_split (ReadSplit): Copies the images of a split and reads its boxes.
        classes (Sequence[str]): Their names; the first has category id 1.
        original (Path): A clone of the public repository.
        out (Path): Gets ``train/``, ``val/`` and ``annotations/``.
        sizes (Mapping[str, tuple[int, int]]): By split, the images and boxes that the public original has.

    Raises:
        FileNotFoundError: If a file of the original is missing.
        ValueError: If one cannot be read, or the sizes are others.
    """
    for split, expected in sizes.items():
        target = out / split
        target.mkdir(parents=True, exist_ok=True)
        write_annotations(out, split, content_of(read_split(original, split, target), classes), expected)


def folders(description: str | None) -> tuple[Path, Path]:
    """The command line of a converter: the original's folder and the one to write."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('original', type=Path, help='clone of the public repository')
    parser.add_argument('out', type=Path, help='gets train/, val/ and annotations/')
    args = parser.parse_args()
    return args.original, args.out


def content_of(images: Sequence[Image], classes: Sequence[str]) -> dict[str, Any]:
    """A COCO file's content.

    Args:
        images (Sequence[Image]): The images with their boxes.
        classes (Sequence[str]): Their names; the first has category id 1.

    Raises:
        ValueError: If a box has another class, has no area or is not inside its image.
    """
    content: dict[str, Any] = {
        'images': [],
        'annotations': [],
        'categories': [{'id': i + 1, 'name': name} for i, name in enumerate(classes)],
    }
    for image_id, (name, width, height, boxes) in enumerate(images, 1):
        content['images'].append({'id': image_id, 'file_name': name, 'width': width, 'height': height})
        for kind, left, top, right, bottom in boxes:
            if kind not in classes:
                raise ValueError(f'{name}: class {kind!r} is none of {", ".join(classes)}')
            if not (0 <= left < right <= width and 0 <= top < bottom <= height):
                raise ValueError(f'{name}: box {(left, top, right, bottom)} is not inside the image {width}x{height}')
            content['annotations'].append(
                {
                    'id': len(content['annotations']) + 1,
                    'image_id': image_id,
                    'category_id': classes.index(kind) + 1,
                    'bbox': [left, top, right - left, bottom - top],
                    'area': (right - left) * (bottom - top),
                    'iscrowd': 0,
                }
            )
    return content


def write_annotations(out: Path, split: str, content: dict[str, Any], expected: tuple[int, int]) -> None:
    """Write ``annotations/instances_SPLIT.json``, last of a split, so that a file that is there is complete.

    Args:
        out (Path): The data set's folder.
        split (str): 'train' or 'val'.
        content (dict[str, Any]): From :func:`content_of`.
        expected (tuple[int, int]): Images and boxes that the public original has.

    Raises:
        ValueError: If it has others; nothing is written.
    """
    found = len(content['images']), len(content['annotations'])
    if found != expected:
        raise ValueError(
            f'{split} has {found[0]} images and {found[1]} boxes, the original {expected[0]} and {expected[1]}; '
            'clone it again'
        )
    path = out / 'annotations' / f'instances_{split}.json'
    with renamed_last(path) as partial:
        partial.write_text(json.dumps(content))
    print(f'{path}: {found[0]} images, {found[1]} boxes')
