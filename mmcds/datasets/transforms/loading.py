"""Loads images of which some may be broken, or of another size than annotated."""

import errno
import logging
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import print_log

from mmcds.datasets.image_sizes import boxes_fit, differs, size_remedy
from mmcds.registry import TRANSFORMS
from mmcds.utils.errors import unknown_name
from mmcds.utils.type_name import bare_kind

# The process ran out of a resource. The file may be intact, so skipping it would hide the cause.
_NOT_THE_FILES_FAULT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_NAMED = 5  # this many files are named, then only their number is given


@TRANSFORMS.register_module()
class LoadImageOrSkip(LoadImageFromFile):
    """Load an image; skip it in training if it is missing, does not decode, or does not hold its boxes.

    A skipped image gives None, for which MMEngine's ``BaseDataset`` fetches another image at random. Where the results
    name their ``dataset``, as in MMYOLO, whose Mosaic and MixUp take no None, another image of it is loaded here. Each
    such file is counted once per process (and so once per dataloader worker): the first five are named
    in a warning, then a warning gives the number whenever it has doubled.

    Where the data set gives the annotated ``height`` and ``width`` (mmdet's do), an image that decodes to another
    size is counted in the same way. It is skipped if a box, clipped to the annotated size as mmdet clips it, leaves
    the decoded image by more than a pixel, and kept otherwise.

    A data set in test mode may not leave out an image: there, use ``on_error='raise'`` (or the stock
    ``LoadImageFromFile``, which :class:`mmdet.apis.DetInferencer` looks for by name).

    Required Keys: ``img_path``. Read where present: ``height``, ``width``, ``instances`` (``bbox`` as x1, y1, x2, y2
    in pixels of the annotated image). Added Keys: ``img`` (``(H, W, 3)`` uint8, or float32 with
    ``to_float32``), ``img_shape``, ``ori_shape``.

    Args:
        on_error (str): 'skip' or 'raise'. With 'raise', an image of another size is kept with a warning.
            Defaults to 'skip'.
        **kwargs: As for mmcv's ``LoadImageFromFile``, without ``ignore_empty``.

    Raises:
        ValueError: At build, if ``on_error`` is another value or ``ignore_empty`` is given; on loading, with
            'raise', if an image does not decode.
        FileNotFoundError: On loading, with 'raise', if an image is missing.

    Example:
        >>> train_pipeline = [
        ...     dict(type='mmcds.LoadImageOrSkip'),
        ...     dict(type='LoadAnnotations', with_bbox=True), ...]
    """

    def __init__(self, *args: object, on_error: str = 'skip', **kwargs: object) -> None:
        if on_error not in ('skip', 'raise'):
            raise unknown_name('LoadImageOrSkip.on_error', on_error, ('skip', 'raise'))
        if 'ignore_empty' in kwargs:
            raise ValueError("LoadImageOrSkip.ignore_empty is no argument; use on_error='skip' or on_error='raise'")
        super().__init__(*args, **kwargs)
        self.on_error = on_error
        self._broken: set[str] = set()
        self._other_size: set[str] = set()

    def transform(self, results: dict) -> dict | None:
        """Load ``results['img_path']``.

        Args:
            results (dict): As made by MMEngine's ``BaseDataset``.

        Returns:
            dict | None: ``results`` with the image, or None for one that is skipped.
        """
        loaded = self._load(results)
        dataset = results.get('dataset')
        if loaded is not None or dataset is None:
            return loaded
        # mmyolo's Mosaic and MixUp take no None: another image of their data set.
        tries = getattr(dataset, 'max_refetch', 1000)
        for _ in range(tries):
            other = deepcopy(dataset.get_data_info(int(np.random.randint(len(dataset)))))
            loaded = self._load({**other, 'dataset': dataset})
            if loaded is not None:
                return loaded
        raise ValueError(f'LoadImageOrSkip: no image could be loaded in {tries} tries; see the warnings before')

    def _load(self, results: dict) -> dict | None:
        """Results with the image, None for one that is skipped."""
        path = str(results['img_path'])
        try:
            image = self._decode(self._read(path), path)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _NOT_THE_FILES_FAULT:
                raise
            if self.on_error == 'raise':
                raise
            self._count(
                self._broken, path, f'Skipped in training: {error}', 'Skipped in training so far: {} broken images'
            )
            return None
        if self._is_of_other_size(image, results) and self.on_error == 'skip':
            return None
        if self.to_float32:
            image = image.astype(np.float32)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _read(self, path: str) -> bytes:
        missing = (
            f"image '{path}' does not exist; check data_root and data_prefix, or remove it from the annotation file"
        )
        try:
            if self.file_client_args is not None:
                content = fileio.FileClient.infer_client(self.file_client_args, path).get(path)
            else:
                content = fileio.get(path, backend_args=self.backend_args)
        except FileNotFoundError as error:
            raise FileNotFoundError(missing) from error
        if content is None:  # LMDB's way to say it
            raise FileNotFoundError(missing)
        return content

    def _decode(self, content: bytes, path: str) -> np.ndarray:
        reason = f'{len(content)} bytes'
        image = None
        if content:  # OpenCV raises an error without a name for an empty buffer
            try:
                image = mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
            except MemoryError:
                raise
            except Exception as error:  # every decoder has its own exceptions
                reason += f', {type(error).__name__}: {str(error).strip()}'
        if image is None:
            raise ValueError(
                f"image '{path}' does not decode ({reason}); replace the file or remove it from the annotation file"
            )
        return image

    def _is_of_other_size(self, image: np.ndarray, results: dict) -> bool:
        """Report an image whose decoded size is not the annotated one; True if its boxes do not fit it either."""
        if results.get('width') is None or results.get('height') is None:
            return False
        annotated = results['width'], results['height']
        decoded = image.shape[1], image.shape[0]
        if not differs(decoded, annotated):
            return False
        boxes = [each['bbox'] for each in results.get('instances') or [] if len(each.get('bbox', ())) == 4]
        fit = boxes_fit(boxes, decoded, annotated)
        what = 'Loaded, since its boxes fit'
        if not fit:
            what = 'Skipped in training' if self.on_error == 'skip' else 'Loaded, though its boxes do not fit'
        path = str(results['img_path'])
        text = (
            f"{what}: image '{path}' is {decoded[0]}x{decoded[1]} (width x height) when decoded, but annotated as "
            f'{annotated[0]}x{annotated[1]}; {size_remedy(decoded, annotated)}'
        )
        self._count(self._other_size, path, text, 'Of another size than annotated so far: {} images')
        return not fit

    @staticmethod
    def _count(seen: set[str], path: str, text: str, summary: str) -> None:
        """Warn of a file the first time: by name for the first few, then by number whenever it has doubled."""
        if path in seen:
            return
        seen.add(path)
        count = len(seen)
        if count <= _NAMED:
            print_log(text, 'current', logging.WARNING)
        elif count & (count - 1) == 0:
            print_log(summary.format(count), 'current', logging.WARNING)

    def __repr__(self) -> str:
        """The stock representation and ``on_error``."""
        return f'{super().__repr__()[:-1]}, on_error={self.on_error!r})'


def read_picture(path: str | Path, pipeline: Sequence[Any]) -> np.ndarray:
    """An image in the orientation in which a pipeline loads it: (H, W, 3) uint8 RGB.

    Args:
        path (str | Path): An image file.
        pipeline (Sequence[dict]): Configs of transforms; the first that loads an image decides about EXIF.

    Raises:
        FileNotFoundError: If it is missing.
        ValueError: If it does not decode.
    """
    loaders = (step for step in pipeline if 'LoadImage' in bare_kind(step.get('type')))
    loader: Any = next(loaders, {})
    color_type = str(loader.get('color_type', 'color'))
    turned = color_type == 'unchanged' or color_type.endswith('ignore_orientation')
    # mmcv gives RGB of images that EXIF turns only.
    picture: np.ndarray | None = mmcv.imread(path, flag='color_ignore_orientation' if turned else 'color')
    if picture is None:
        raise ValueError(f'image={str(path)!r} cannot be decoded; give an image file')
    return np.ascontiguousarray(picture[..., ::-1])
