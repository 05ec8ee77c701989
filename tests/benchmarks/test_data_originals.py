"""Converters of the public originals, on a miniature of each. The values expected were written by hand."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from benchmarks.data import bccd, deeppcb, efficientnet_lite0, grocery
from benchmarks.data.cifar_jpeg import CIFAR10JPEG, encode

VOC = """<annotation><size><width>64</width><height>48</height><depth>3</depth></size>
<object><name>WBC</name><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>13</xmax><ymax>24</ymax></bndbox></object>
<object><name>RBC</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>9</xmax><ymax>20</ymax></bndbox></object>
<object><name>{kind}</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>64</xmax><ymax>48</ymax></bndbox></object>
</annotation>"""


def picture(path: Path, value: int = 90, size: tuple[int, int] = (64, 48)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('L', size, value).convert('RGB').save(path)


def original_bccd(folder: Path, kind: str = 'Platelets') -> Path:
    root = folder / 'BCCD'
    for name in ('ImageSets/Main', 'Annotations'):
        (root / name).mkdir(parents=True)
    (root / 'ImageSets/Main/trainval.txt').write_text('b\na\n')
    (root / 'ImageSets/Main/test.txt').write_text('c\n')
    for name in 'abc':
        (root / f'Annotations/{name}.xml').write_text(VOC.format(kind=kind))
        picture(root / f'JPEGImages/{name}.jpg')
    return folder


BCCD_SIZES = {'train': (2, 4), 'val': (1, 2)}


def test_bccd(tmp_path: Path) -> None:
    out = tmp_path / 'out'
    bccd.convert(original_bccd(tmp_path / 'in'), out, BCCD_SIZES)
    coco = COCO(str(out / 'annotations/instances_train.json'))
    assert [image['file_name'] for image in coco.dataset['images']] == ['a.jpg', 'b.jpg']
    assert coco.dataset['images'][0].items() >= {'width': 64, 'height': 48}.items()
    # The box without width is left out.
    found = [(each['category_id'], each['bbox'], each['area']) for each in coco.imgToAnns[2]]
    assert found == [(2, [3, 4, 10, 20], 200), (3, [0, 0, 64, 48], 3072)]
    assert [each['name'] for each in coco.cats.values()] == ['RBC', 'WBC', 'Platelets']
    assert sorted(path.name for path in out.glob('*/*.jpg')) == ['a.jpg', 'b.jpg', 'c.jpg']
    first = (out / 'annotations/instances_val.json').read_bytes()
    bccd.convert(tmp_path / 'in', out, BCCD_SIZES)
    assert (out / 'annotations/instances_val.json').read_bytes() == first


def test_bccd_of_another_content_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'train has 2 images and 4 boxes, the original 292 and 3941; clone it again'):
        bccd.convert(original_bccd(tmp_path / 'in'), tmp_path / 'out', bccd.SIZES)
    assert not (tmp_path / 'out/annotations').exists()
    with pytest.raises(ValueError, match=r"a.jpg: class 'Cell' is none of RBC, WBC, Platelets"):
        bccd.convert(original_bccd(tmp_path / 'other', kind='Cell'), tmp_path / 'out', BCCD_SIZES)
    (tmp_path / 'in/BCCD/Annotations/a.xml').write_text('<annotation/>')
    with pytest.raises(ValueError, match=r'a\.xml has no size'):
        bccd.convert(tmp_path / 'in', tmp_path / 'out', BCCD_SIZES)
    with pytest.raises(FileNotFoundError, match=r'trainval.txt'):
        bccd.convert(tmp_path, tmp_path / 'out', BCCD_SIZES)


def original_pcb(folder: Path, line: str = '1 2 11 22 6') -> Path:
    root = folder / 'PCBData'
    for split, number in (('trainval', '20'), ('test', '07')):
        (root / f'g/{number}_not').mkdir(parents=True)
        (root / f'{split}.txt').write_text(f'g/{number}/{number}.jpg g/{number}_not/{number}.txt\n')
        (root / f'g/{number}_not/{number}.txt').write_text(f'{line}\n3 3 9 9 1\n')
        picture(root / f'g/{number}/{number}_test.jpg', value=200)
        picture(root / f'g/{number}/{number}_temp.jpg', value=10)
    return folder


PCB_SIZES = {'train': (1, 2), 'val': (1, 2)}


def test_deeppcb(tmp_path: Path) -> None:
    out = tmp_path / 'out'
    deeppcb.convert(original_pcb(tmp_path / 'in'), out, PCB_SIZES)
    content = json.loads((out / 'annotations/instances_val.json').read_text())
    assert [image['file_name'] for image in content['images']] == ['07.png']
    assert [(each['category_id'], each['bbox']) for each in content['annotations']] == [
        (6, [1, 2, 10, 20]),
        (1, [3, 3, 6, 6]),
    ]
    assert content['categories'][5] == {'id': 6, 'name': 'pin-hole'}
    with Image.open(out / 'train/20.png') as image:  # of the tested board, which is white here
        assert (image.mode, image.getextrema()) == ('1', (255, 255))


@pytest.mark.parametrize('line', ['1 2 11 22 7', '1 2 11 22', 'a b c d 1', '1,2,11,22,1'])
def test_a_line_of_deeppcb_that_says_nothing(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match=r"20.txt: line '.*' is not 'left top right bottom kind'"):
        deeppcb.convert(original_pcb(tmp_path / 'in', line), tmp_path / 'out', PCB_SIZES)


@pytest.mark.parametrize('line', ['1 2 99 22 1', '11 2 11 22 1', '-1 2 11 22 1'])
def test_a_box_outside_its_image(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match=r'20.png: box .* is not inside the image 64x48'):
        deeppcb.convert(original_pcb(tmp_path / 'in', line), tmp_path / 'out', PCB_SIZES)


def original_grocery(folder: Path) -> Path:
    for split, number, size in (('train', 3, (400, 300)), ('val', 11, (192, 250)), ('test', 3, (100, 101))):
        path = f'{split}/Fruit/Apple/Royal-Gala/Royal-Gala_{number:03d}.jpg'
        picture(folder / 'dataset' / path, size=size)
        (folder / f'dataset/{split}.txt').write_text(f'{path}, {number}, 0\n')
    return folder


def test_grocery(tmp_path: Path) -> None:
    grocery.shrink(original_grocery(tmp_path / 'in'), tmp_path / 'out', dict.fromkeys(grocery.SIZES, 1))
    sizes = {}
    for path in (tmp_path / 'out').glob('*/*/*.jpg'):
        with Image.open(path) as image:
            sizes[str(path.relative_to(tmp_path / 'out'))] = image.size
    assert sizes == {
        'train/03_Royal-Gala/Royal-Gala_003.jpg': (256, 192),
        'val/11_Royal-Gala/Royal-Gala_011.jpg': (192, 250),
        'test/03_Royal-Gala/Royal-Gala_003.jpg': (192, 194),
    }
    with pytest.raises(ValueError, match='lists 1 photos, the original 2640; clone it again'):
        grocery.shrink(tmp_path / 'in', tmp_path / 'again', grocery.SIZES)
    assert not (tmp_path / 'again').exists()


def test_cifar_is_read_as_it_was_encoded(tmp_path: Path) -> None:
    labels = np.array([2, 0, 2, 1])
    images = np.repeat(np.array([10, 90, 170, 250], np.uint8), 32 * 32 * 3).reshape(4, 32, 32, 3)
    np.savez(tmp_path / CIFAR10JPEG.FILE, **encode(images, labels, 'train'), **encode(images[:1], labels[:1], 'test'))
    data = CIFAR10JPEG(data_root=str(tmp_path), split='train')
    read = [(int(data[i]['gt_label']), int(data[i]['img'].mean().round())) for i in range(len(data))]
    assert read == [(0, 90), (1, 250), (2, 10), (2, 170)]  # by class, then as they came
    stored = np.load(tmp_path / CIFAR10JPEG.FILE)
    first = Image.open(io.BytesIO(stored['train_jpeg'][: stored['train_offsets'][1]].tobytes()))
    assert (first.format, first.size) == ('JPEG', (32, 32))


def test_weights_of_a_backbone() -> None:
    original = {
        '_conv_stem.weight': torch.full((4, 3), 1.0),
        '_blocks.0._bn1.bias': torch.full((4,), 2.0),
        '_conv_head.weight': torch.full((8, 4), 3.0),
        '_bn1.bias': torch.full((8,), 4.0),
        '_fc.bias': torch.full((2,), 5.0),
    }
    names = ('timm_model.conv_stem.weight', 'timm_model.blocks.0.0.bn1.bias')
    found = efficientnet_lite0.convert(original, dict(zip(names, (torch.zeros(4, 3), torch.zeros(4)), strict=True)))
    assert {name: value.mean().item() for name, value in found.items()} == {names[0]: 1.0, names[1]: 2.0}
    with pytest.raises(
        ValueError, match='the original has 2 weights of stages and the backbone 2, or in another order'
    ):
        efficientnet_lite0.convert(original, dict(zip(names, (torch.zeros(4), torch.zeros(4, 3)), strict=True)))
