"""Loading images of which some may be broken."""

import errno
import logging

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import print_log

from mmcds.registry import TRANSFORMS

# The process ran out of something; the file itself may be in order, so skipping would hide the cause.
_NOT_THE_FILES_FAULT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_NAMED = 5  # as many broken files are named one by one, then only their number is given


@TRANSFORMS.register_module()
class LoadImageOrSkip(LoadImageFromFile):
    """Load an image; skip it in training if it is missing or does not decode.

    A skipped image gives None, for which MMEngine's ``BaseDataset`` fetches another image at random. Each
    broken file is counted once per process (and so once per dataloader worker): the first five are named
    in a warning, then a warning gives the number whenever it has doubled.

    A data set in test mode may not leave out an image: there, use ``on_error='raise'`` (or the stock
    ``LoadImageFromFile``, which :class:`mmdet.apis.DetInferencer` looks for by name).

    Required Keys: ``img_path``. Added Keys: ``img`` (``(H, W, 3)`` uint8, or float32 with
    ``to_float32``), ``img_shape``, ``ori_shape``.

    Args:
        on_error (str): 'skip' or 'raise'. Defaults to 'skip'.
        **kwargs: As for mmcv's ``LoadImageFromFile``, without ``ignore_empty``.

    Raises:
        ValueError: At build, if ``on_error`` is another word or ``ignore_empty`` is given; on loading, with
            'raise', if an image does not decode.
        FileNotFoundError: On loading, with 'raise', if an image is missing.

    Example:
        >>> train_pipeline = [
        ...     dict(type='mmcds.LoadImageOrSkip'),
        ...     dict(type='LoadAnnotations', with_bbox=True), ...]
    """

    def __init__(self, *args: object, on_error: str = 'skip', **kwargs: object) -> None:
        if on_error not in ('skip', 'raise'):
            raise ValueError(f"on_error={on_error!r} is not one of 'skip', 'raise'")
        if 'ignore_empty' in kwargs:
            raise ValueError("ignore_empty is not an argument here; use on_error='skip' or on_error='raise'")
        super().__init__(*args, **kwargs)
        self.on_error = on_error
        self._broken: set[str] = set()

    def transform(self, results: dict) -> dict | None:
        """Load ``results['img_path']``.

        Args:
            results (dict): As made by MMEngine's ``BaseDataset``.

        Returns:
            dict | None: ``results`` with the image, or None for one that is skipped.
        """
        path = str(results['img_path'])
        try:
            image = self._decode(self._read(path), path)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _NOT_THE_FILES_FAULT:
                raise
            if self.on_error == 'raise':
                raise
            self._count(path, error)
            return None
        if self.to_float32:
            image = image.astype(np.float32)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _read(self, path: str) -> bytes:
        try:
            if self.file_client_args is not None:
                return fileio.FileClient.infer_client(self.file_client_args, path).get(path)
            return fileio.get(path, backend_args=self.backend_args)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"image '{path}' does not exist; check data_root and data_prefix, or remove it from the annotation file"
            ) from error

    def _decode(self, content: bytes, path: str) -> np.ndarray:
        reason = f'{len(content)} bytes'
        image = None
        if content:  # OpenCV raises an error without a name for an empty buffer
            try:
                image = mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
            except MemoryError:
                raise
            except Exception as error:  # every decoder has exceptions of its own
                reason += f', {type(error).__name__}: {str(error).strip()}'
        if image is None:
            raise ValueError(
                f"image '{path}' does not decode ({reason}); replace the file or remove it from the annotation file"
            )
        return image

    def _count(self, path: str, error: Exception) -> None:
        if path in self._broken:
            return
        self._broken.add(path)
        count = len(self._broken)
        if count <= _NAMED:
            print_log(f'Skipped in training: {error}', 'current', logging.WARNING)
        elif count & (count - 1) == 0:
            print_log(f'Skipped in training so far: {count} broken images', 'current', logging.WARNING)

    def __repr__(self) -> str:
        """The stock representation and ``on_error``."""
        return f'{super().__repr__()[:-1]}, on_error={self.on_error!r})'
