"""The generated shapes with rotated boxes, for mmrotate."""

from typing import Any

try:
    from mmrotate.datasets import DOTADataset
except ImportError as error:
    raise ImportError(
        f'mmcds.RotatedShapesDataset needs mmrotate ({error}); install it with tools/setup_env.sh --with rotate'
    ) from error

from mmcds.registry import DATASETS

from .scenes import CLASSES
from .shapes_dataset import PALETTE, MakesShapes


# In place of the function that imports this module.
@DATASETS.register_module(force=True)
class RotatedShapesDataset(MakesShapes, DOTADataset):
    """Ellipses, rectangles, long triangles and long crosses, in DOTA's format; see :class:`MakesShapes`.

    Args:
        img_suffix (str): Suffix of the images. Defaults to 'jpg'.
        **kwargs: As for :class:`MakesShapes` and mmrotate's ``DOTADataset``.

    Raises:
        ImportError: If mmrotate is not installed.

    Example:
        >>> dataset = dict(
        ...     type='mmcds.RotatedShapesDataset',
        ...     data_root='data/shapes_rotated/',
        ...     ann_file='labels_train/',
        ...     data_prefix=dict(img_path='train/'),
        ...     pipeline=[...])
    """

    kind = 'rotated'
    METAINFO = {'classes': CLASSES, 'palette': PALETTE}

    def __init__(self, *args: Any, img_suffix: str = 'jpg', **kwargs: Any) -> None:
        super().__init__(*args, img_suffix=img_suffix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """The images in the order of their names; mmrotate takes them in the order of the file system."""
        return sorted(super().load_data_list(), key=lambda info: str(info['img_id']))
