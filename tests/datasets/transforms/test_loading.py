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
from PIL import Image

from mmcds.datasets.transforms.loading import LoadImageOrSkip, read_picture
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
    with pytest.raises(ValueError, match=r"LoadImageOrSkip\.on_error='ignore' .*valid: skip, raise"):
        LoadImageOrSkip(on_error='ignore')
    with pytest.raises(ValueError, match='ignore_empty'):
        LoadImageOrSkip(ignore_empty=True)
    assert "on_error='skip'" in repr(LoadImageOrSkip())


def annotated(image: Path, width: int, height: int, *boxes: list[float]) -> dict:
    instances = [{'bbox': box, 'bbox_label': 0, 'ignore_flag': 0} for box in boxes]
    return {'img_path': str(image), 'width': width, 'height': height, 'instances': instances}


@pytest.fixture
def turned(image: Path) -> Path:
    """48 x 32 pixels in the file, which EXIF turns to 32 x 48."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = image.with_name('turned.jpg')
    Image.open(image).save(path, exif=exif)
    return path


def test_an_image_that_exif_turns_is_skipped_if_its_boxes_do_not_fit(turned: Path, warnings: Captured) -> None:
    load = LoadImageOrSkip()
    assert load(annotated(turned, 48, 32, [0, 0, 10, 10], [30, 10, 48, 20])) is None
    assert len(warnings.lines) == 1
    for part in (str(turned), '32x48', '48x32', "color_type='color_ignore_orientation'", 'Skipped in training'):
        assert part in warnings.lines[0]
    loaded = load(annotated(turned, 48, 32, [0, 0, 10, 10], [20, 10, 32.9, 20]))
    assert loaded is not None
    assert loaded['img_shape'] == (48, 32)
    assert len(warnings.lines) == 1  # a file is named once
    followed = LoadImageOrSkip(color_type='color_ignore_orientation')(annotated(turned, 48, 32, [30, 10, 48, 20]))
    assert followed is not None
    assert len(warnings.lines) == 1


@pytest.mark.parametrize(
    ('size', 'boxes', 'kept', 'named'),
    [
        ((48, 32), [[30, 10, 300, 20]], True, False),  # clipped by mmdet
        ((49, 31), [[40, 10, 49, 20]], True, False),  # rounding
        ((32, 48), [[0, 0, 20, 20], [40, 5, 48, 30]], True, True),  # width and height exchanged, boxes right
        ((32, 48), [[0, 30, 20, 48]], False, True),
        ((96, 64), [[0, 0, 48, 32]], True, True),
        ((96, 64), [], True, True),
        ((96, 64), [[-5, -5, 49, 33]], True, True),
        ((96, 64), [[0, 0, 90, 33]], False, True),
    ],
)
def test_boxes_decide_what_becomes_of_an_image_of_another_size(
    image: Path, warnings: Captured, size: tuple[int, int], boxes: list[list[float]], kept: bool, named: bool
) -> None:
    assert (LoadImageOrSkip()(annotated(image, *size, *boxes)) is not None) == kept
    assert len(warnings.lines) == named
    if named:
        assert ('Skipped' in warnings.lines[0]) == (not kept)
    assert LoadImageOrSkip(on_error='raise')(annotated(image, *size, *boxes)) is not None


def test_images_of_another_size_are_counted_as_broken_ones_are(image: Path, warnings: Captured) -> None:
    load = LoadImageOrSkip()
    for i in range(20):
        path = image.with_name(f'copy{i}.jpg')
        path.write_bytes(image.read_bytes())
        assert load(annotated(path, 400, 300)) is not None
    assert len(warnings.lines) == 7
    assert [line.split(': ')[1] for line in warnings.lines[5:]] == ['8 images', '16 images']


def test_where_the_results_name_their_data_set_another_image_is_loaded(image: Path, warnings: Captured) -> None:
    """As in mmyolo, whose Mosaic loads further images by itself and takes no None."""
    paths = [str(broken(image, 'empty')), str(image)]
    dataset = Listed(paths, pipeline=[])
    load = LoadImageOrSkip()
    for _ in range(5):
        results = load({**dataset.get_data_info(0), 'dataset': dataset})
        assert results is not None
        assert results['img_path'] == str(image)
        assert results['dataset'] is dataset
        assert results['img'].shape == (32, 48, 3)
    nothing = Listed(paths[:1] * 2, pipeline=[])
    with pytest.raises(ValueError, match='no image could be loaded in 1000 tries; see the warnings before'):
        load({**nothing.get_data_info(0), 'dataset': nothing})


def test_images_of_another_size_that_were_loaded_are_not_lost(image: Path) -> None:
    infos = [annotated(image, 49, 32, [1, 1, 20, 20]), {'img_path': str(broken(image, 'empty'))}]
    dataset = type('Infos', (), {'get_data_info': lambda self, place: infos[place], '__len__': lambda self: 2})()
    load = LoadImageOrSkip()
    assert load({**infos[0], 'dataset': dataset}) is not None
    assert load({**infos[1], 'dataset': dataset})['img_path'] == str(image)


def test_an_lmdb_without_the_image(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmcds.datasets.transforms.loading.fileio.get', lambda *args, **kwargs: None)
    assert LoadImageOrSkip()({'img_path': str(image)}) is None
    with pytest.raises(FileNotFoundError, match='does not exist; check data_root'):
        LoadImageOrSkip(on_error='raise')({'img_path': str(image)})


@pytest.mark.parametrize(
    ('color_type', 'shape'),
    [('color', (48, 32, 3)), ('color_ignore_orientation', (32, 48, 3)), ('unchanged', (32, 48, 3))],
)
def test_a_picture_is_turned_as_the_pipeline_turns_it(turned: Path, color_type: str, shape: tuple[int, ...]) -> None:
    pipeline = [dict(type='mmdet.LoadImageFromFile', color_type=color_type), dict(type='PackDetInputs')]
    picture = read_picture(turned, pipeline)
    loaded = LoadImageOrSkip(color_type=color_type)({'img_path': str(turned)})
    assert loaded is not None
    assert picture.shape == shape == loaded['img'].shape
    assert np.array_equal(picture[..., ::-1], loaded['img'])
