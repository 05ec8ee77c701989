"""Stanford Dogs from lists as its makers distribute them, written by scipy."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('mmpretrain')
savemat = pytest.importorskip('scipy.io').savemat

FILES = ['n02085620-Chihuahua/n02085620_7.jpg', 'n02116738-African_hunting_dog/n02116738_1.jpg']
LABELS = [1, 120]


def build(root: Path, **arguments: Any) -> Any:
    from mmcds.datasets import StanfordDogs

    return StanfordDogs(str(root), **arguments)


def write_list(path: Path, files: list[str], labels: list[int]) -> None:
    """A column of cells and a column of numbers, compressed, as MATLAB writes them."""
    path.parent.mkdir(exist_ok=True)
    cells = np.empty((len(files), 1), dtype=object)
    cells[:, 0] = files
    content = {'file_list': cells, 'annotation_list': cells, 'labels': np.array(labels, dtype=np.float64)[:, None]}
    savemat(path, content, do_compression=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_list(tmp_path / 'lists' / 'train_list.mat', FILES, LABELS)
    write_list(tmp_path / 'lists' / 'test_list.mat', FILES[::-1], LABELS[::-1])
    for i, file in enumerate(FILES):
        (tmp_path / 'Images' / file).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / 'Images' / file), np.full((8, 8, 3), i * 100, np.uint8))
    return tmp_path


def test_both_splits(root: Path) -> None:
    train, test = build(root), build(root, split='test')
    assert [train[i]['gt_label'] for i in range(len(train))] == [0, 119]
    assert [test[i]['gt_label'] for i in range(len(test))] == [119, 0]
    assert test.test_mode
    assert not train.test_mode
    assert train[1]['img_path'] == str(root / 'Images' / FILES[1])


def test_images_are_read(root: Path) -> None:
    image = build(root, pipeline=[dict(type='LoadImageFromFile')])[1]['img']
    assert abs(image.mean() - 100) < 3


def test_lists_where_their_archive_unpacks_them(root: Path) -> None:
    (root / 'lists' / 'train_list.mat').rename(root / 'train_list.mat')
    assert len(build(root)) == 2


def test_classes_are_imagenet_s_dogs() -> None:
    from mmpretrain.datasets.categories import IMAGENET_CATEGORIES

    from mmcds.paper.stanford_dogs import CLASSES

    # Chihuahua to Mexican hairless, without the dalmatian, then dingo, dhole and African hunting dog.
    dogs = [IMAGENET_CATEGORIES[i].split(',')[0] for i in (*range(151, 269), 273, 274, 275)]
    assert list(CLASSES) == [name for name in dogs if name != 'dalmatian']
    assert len(CLASSES) == len(set(CLASSES)) == 120


def test_a_wrong_split(root: Path) -> None:
    with pytest.raises(ValueError, match=r"dataset.split='val' is not known; valid: train, test"):
        build(root, split='val')


def test_a_missing_list(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'train_list.mat does not exist; unpack lists.tar there'):
        build(tmp_path)


def test_a_label_out_of_range(root: Path) -> None:
    write_list(root / 'lists' / 'train_list.mat', FILES, [1, 121])
    with pytest.raises(ValueError, match=r'African_hunting_dog/n02116738_1.jpg has label 121, out of 1 to 120'):
        build(root)


def test_a_list_of_something_else(root: Path) -> None:
    savemat(root / 'lists' / 'train_list.mat', {'annotations': np.zeros(2)})
    with pytest.raises(ValueError, match=r"expected the lists file_list and labels.*\['annotations'\]"):
        build(root)
