"""Images that are missing or broken."""

import errno
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger

from mmcds.datasets.transforms.loading import LoadImageOrSkip
from mmcds.registry import TRANSFORMS


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / 'good.jpg'
    noise = np.random.default_rng(0).integers(0, 255, (10, 10, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(noise, (48, 32)))
    return path


def broken(image: Path, how: str) -> Path:
    path = image.with_name(f'{how}.jpg')
    if how != 'missing':
        content = image.read_bytes()
        path.write_bytes({'empty': b'', 'truncated': content[: len(content) // 2], 'text': b'not an image'}[how])
    return path


class Captured(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def warnings() -> Captured:
    logger = MMLogger.get_instance('test_loading')
    logger.handlers.clear()
    handler = Captured()
    logger.addHandler(handler)
    return handler


@pytest.mark.parametrize('to_float32', [False, True])
def test_a_good_image_is_what_the_stock_transform_loads(image: Path, to_float32: bool) -> None:
    expected = LoadImageFromFile(to_float32=to_float32)({'img_path': str(image)})
    loaded = LoadImageOrSkip(to_float32=to_float32)({'img_path': str(image)})
    assert loaded is not None
    assert loaded.keys() == expected.keys()
    np.testing.assert_array_equal(loaded['img'], expected['img'])
    assert loaded['img'].dtype == expected['img'].dtype
    assert loaded['img_shape'] == loaded['ori_shape'] == (32, 48)


@pytest.mark.parametrize('how', ['missing', 'empty', 'truncated', 'text'])
@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_a_broken_image_is_skipped_or_named(image: Path, warnings: Captured, how: str, backend: str) -> None:
    path = broken(image, how)
    assert LoadImageOrSkip(imdecode_backend=backend)({'img_path': str(path)}) is None
    assert len(warnings.lines) == 1
    assert str(path) in warnings.lines[0]
    expected = FileNotFoundError if how == 'missing' else ValueError
    with pytest.raises(expected, match='annotation file') as error:
        LoadImageOrSkip(on_error='raise', imdecode_backend=backend)({'img_path': str(path)})
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value)


def test_running_out_of_file_handles_is_not_the_images_fault(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(*args: object, **kwargs: object) -> bytes:
        raise OSError(errno.EMFILE, 'Too many open files')

    monkeypatch.setattr('mmcds.datasets.transforms.loading.fileio.get', get)
    with pytest.raises(OSError, match='Too many open files'):
        LoadImageOrSkip()({'img_path': str(image)})


def test_each_file_is_counted_once_and_few_are_named(tmp_path: Path, warnings: Captured) -> None:
    load = LoadImageOrSkip()
    for _ in range(2):
        for i in range(20):
            assert load({'img_path': str(tmp_path / f'{i}.jpg')}) is None
    assert len([line for line in warnings.lines if 'does not exist' in line]) == 5
    assert [line.split(': ')[1] for line in warnings.lines[5:]] == ['8 broken images', '16 broken images']


class Listed(BaseDataset):
    def load_data_list(self) -> list[dict]:
        return [{'img_path': path} for path in self.paths]

    def __init__(self, paths: list[str], **kwargs: object) -> None:
        self.paths = paths
        super().__init__(**kwargs)


def test_a_training_set_fetches_another_image(image: Path, warnings: Captured) -> None:
    paths = [str(broken(image, 'empty')), str(image)]
    dataset = Listed(paths, pipeline=[TRANSFORMS.build({'type': 'mmcds.LoadImageOrSkip'})])
    for _ in range(5):
        assert dataset[0]['img_path'] == str(image)
    assert len(warnings.lines) == 1


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"on_error='ignore'.*'skip', 'raise'"):
        LoadImageOrSkip(on_error='ignore')
    with pytest.raises(ValueError, match='ignore_empty'):
        LoadImageOrSkip(ignore_empty=True)
    assert "on_error='skip'" in repr(LoadImageOrSkip())
