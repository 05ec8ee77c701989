"""The generated shapes as a detection data set that makes its own files."""

import logging
from collections.abc import Mapping
from typing import Any

from mmdet.datasets import CocoDataset
from mmengine.logging import print_log

from mmcds.registry import DATASETS
from mmcds.utils.errors import unknown_name

from .scenes import CLASSES
from .shapes import KINDS, is_complete, kind_of, make_shapes

PALETTE = [(230, 75, 53), (60, 100, 210), (0, 160, 135), (240, 160, 30)]


class MakesShapes:
    """Mixed into a data set class of MMEngine's: makes the files before the annotations are read.

    Where ``data_root`` holds no complete set, it is made (about four seconds for the 500 default images), so a config
    runs by itself. Processes that start together are safe: one draws, the others wait, and the folder appears in one
    step.

    Args:
        make (Mapping, optional): Arguments of :func:`mmcds.datasets.shapes.make_shapes` other than ``root`` and
            ``kind``: ``train``, ``val``, ``seed``, ``size``. If None, a complete set found at ``data_root`` is taken
            whatever it was made with, and a missing one is made with the defaults. Defaults to None.
        **kwargs: As for the data set class; ``data_root`` is needed.

    Raises:
        ValueError: If ``data_root`` is empty, ``make`` has an unknown key, or the set at ``data_root`` was made with
            other arguments than ``make`` says.
    """

    kind = 'boxes'
    data_root: str | None
    _fully_initialized: bool

    def __init__(self, *args: Any, make: Mapping[str, int] | None = None, **kwargs: Any) -> None:
        self.make = None if make is None else dict(make)
        valid = ('train', 'val', 'seed', 'size')
        for key in self.make or ():
            if key not in valid:
                raise unknown_name(f'{type(self).__name__}.make', key, valid)
        super().__init__(*args, **kwargs)

    def prepare(self) -> None:
        """Make the files where they are not all there."""
        if not self.data_root:
            raise ValueError("data_root='' leaves no place to make the shapes in; set it, e.g. 'data/shapes/'")
        complete = is_complete(self.data_root)
        # Every kind of set has upright boxes; the others have what they are named after.
        if complete and self.make is None and self.kind in (KINDS[0], kind_of(self.data_root)):
            return
        if not complete:
            print_log(f'Making the shapes data set in {self.data_root} ...', 'current', logging.INFO)
        make_shapes(self.data_root, **(self.make or {}), kind=self.kind)

    def full_init(self) -> None:
        """Make the files if needed, then read the annotations as the data set class does."""
        if not self._fully_initialized:
            self.prepare()
        super().full_init()  # type: ignore[misc]


@DATASETS.register_module()
class ShapesDataset(MakesShapes, CocoDataset):
    """Circles, squares, triangles and crosses on textured backgrounds, in COCO's format; see :class:`MakesShapes`.

    Example:
        >>> dataset = dict(
        ...     type='mmcds.ShapesDataset',
        ...     data_root='data/shapes/',
        ...     ann_file='annotations/instances_train.json',
        ...     data_prefix=dict(img='train/'),
        ...     pipeline=[...])
    """

    METAINFO = {'classes': CLASSES, 'palette': PALETTE}
