"""The generated shapes with classes of pixels, for mmsegmentation."""

try:
    from mmseg.datasets import BaseSegDataset
except ImportError as error:
    raise ImportError(
        f'mmcds.ShapesSegDataset needs mmsegmentation ({error}); install it with tools/setup_env.sh --with seg'
    ) from error

from mmcds.registry import DATASETS

from .scenes import CLASSES
from .shapes_dataset import PALETTE, MakesShapes


# In place of the function that imports this module.
@DATASETS.register_module(force=True)
class ShapesSegDataset(MakesShapes, BaseSegDataset):
    """Circles, squares, triangles and crosses with label maps, class 0 for the background; see :class:`MakesShapes`.

    Every pixel has the class of the object that is seen there; none is to be ignored.

    Args:
        **kwargs: As for :class:`MakesShapes` and mmsegmentation's ``BaseSegDataset``.

    Raises:
        ImportError: If mmsegmentation is not installed.

    Example:
        >>> dataset = dict(
        ...     type='mmcds.ShapesSegDataset',
        ...     data_root='data/shapes_pixels/',
        ...     data_prefix=dict(img_path='train/', seg_map_path='maps_train/'),
        ...     pipeline=[...])
    """

    kind = 'pixels'
    METAINFO = {'classes': ('background', *CLASSES), 'palette': [(0, 0, 0), *PALETTE]}
