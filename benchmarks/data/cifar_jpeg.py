"""CIFAR-10 whose images are JPEG bytes in one npz file."""

from typing import Any

import cv2
import numpy as np
from mmpretrain.datasets import CIFAR10

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
