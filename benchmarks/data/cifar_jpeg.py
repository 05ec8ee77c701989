"""CIFAR-10 whose images are JPEG bytes in one npz file, and the command that makes the file.

mmpretrain downloads the official files (www.cs.toronto.edu/~kriz/cifar.html, 'python version') and checks them. The
file that the results were measured with has JPEGs of the same quality; whether it is the same was not tried.

Example:
  python benchmarks/data/cifar_jpeg.py work_dirs/cifar10 data/cifar10
"""

import argparse
import io
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np
from mmpretrain.datasets import CIFAR10
from PIL import Image

from mmcds.cli.tool import run
from mmcds.registry import DATASETS


@DATASETS.register_module()
class CIFAR10JPEG(CIFAR10):
    """Reads ``<split>_jpeg``, ``<split>_offsets`` and ``<split>_labels`` of an npz file.

    The JPEGs are lossy, so results on them are not comparable with published ones on CIFAR-10.

    Args:
        data_root (str): Folder of ``cifar10_jpeg.npz``.
        per_class (int, optional): The first so many images of each class, in the file's order. Defaults to None: all.
        **kwargs: Of mmpretrain's CIFAR10.

    Raises:
        FileNotFoundError: If there is no such file.
    """

    FILE = 'cifar10_jpeg.npz'

    def __init__(self, data_root: str, per_class: int | None = None, **kwargs: Any) -> None:
        self.per_class = per_class
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Decode all images: 'img' (32, 32, 3) uint8 RGB, as CIFAR10 has them, and 'gt_label'."""
        path = f'{self.data_root}/{self.FILE}'
        try:
            with np.load(path) as content:
                data, offsets, labels = (content[f'{self.split}_{key}'] for key in ('jpeg', 'offsets', 'labels'))
        except FileNotFoundError as error:
            raise FileNotFoundError(f'{path} does not exist; set data_root to the folder of {self.FILE}') from error
        found: list[dict[str, Any]] = []
        taken: dict[int, int] = {}
        for i, label in enumerate(labels.tolist()):
            taken[label] = taken.get(label, 0) + 1
            if self.per_class is None or taken[label] <= self.per_class:
                image = cv2.imdecode(data[offsets[i] : offsets[i + 1]], cv2.IMREAD_COLOR)
                found.append({'img': cv2.cvtColor(image, cv2.COLOR_BGR2RGB), 'gt_label': label})
        return found


def encode(images: np.ndarray, labels: np.ndarray, split: str) -> dict[str, Any]:
    """Arrays of the npz file, ordered by class and then as they come.

    Args:
        images (np.ndarray): (n, height, width, 3) uint8, RGB.
        labels (np.ndarray): (n,) classes.
        split (str): 'train' or 'test'.
    """
    order = np.argsort(labels, kind='stable')
    encoded = []
    for index in order:
        target = io.BytesIO()
        Image.fromarray(images[index]).save(target, 'JPEG', quality=75)
        encoded.append(target.getvalue())
    return {
        f'{split}_jpeg': np.frombuffer(b''.join(encoded), np.uint8),
        f'{split}_offsets': np.cumsum([0, *map(len, encoded)]),
        f'{split}_labels': labels[order].astype(np.uint8),
    }


def main() -> None:
    """Download the official files and encode them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('original', help='folder of the official files, or where they are downloaded to')
    parser.add_argument('out', type=Path, help=f'gets {CIFAR10JPEG.FILE}')
    args = parser.parse_args()
    arrays: dict[str, Any] = {}
    for split in ('train', 'test'):
        content = list(CIFAR10(data_root=args.original, split=split))
        images, labels = (np.stack([each[key] for each in content]) for key in ('img', 'gt_label'))
        arrays |= encode(images, labels, split)
    args.out.mkdir(parents=True, exist_ok=True)
    np.savez(args.out / CIFAR10JPEG.FILE, **arrays)


if __name__ == '__main__':
    run(main)
