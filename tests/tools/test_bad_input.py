"""A user's mistakes, made with the real commands: one line, no traceback, nothing lost."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from preloaded import Preloaded

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'configs/cds/faster_rcnn_r18_cds_shapes.py'
#: One epoch of a few tiny images, in seconds.
SHORT = [
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=9',
    'train_dataloader.batch_size=2',
    'default_hooks.logger.interval=1',
]

pytestmark = pytest.mark.slow


Train = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope='module')
def train(preloaded: Preloaded) -> Train:
    def train(
        data: Path, work: Path, *options: str, config: str = CONFIG, flags: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess:
        override = ['--cfg-options', f'data_root={data}', *SHORT, *options]
        return preloaded.run('tools/train.py', config, '--work-dir', str(work), *flags, *override)

    return train


def error_of(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 2, done.stdout[-2000:] + done.stderr[-2000:]
    assert 'Traceback' not in done.stderr + done.stdout, done.stderr[-3000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1, done.stderr[-2000:]
    return lines[0]


@pytest.fixture(scope='session')
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mmcds.datasets.shapes import make_shapes

    root = tmp_path_factory.mktemp('data') / 'shapes'
    make_shapes(root, train=6, val=2)
    return root


@pytest.fixture(scope='module')
def trained(train: Train, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of one epoch of two images; a test may not change it."""
    work = tmp_path_factory.mktemp('trained')
    done = train(shapes, work, 'train_dataloader.dataset.indices=2')
    assert done.returncode == 0, done.stderr[-3000:]
    return work / 'epoch_1.pth'


@pytest.fixture
def data(shapes: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(shapes, tmp_path / 'shapes'))


def edit(data: Path, change: Callable[[dict], None], split: str = 'train') -> None:
    path = data / 'annotations' / f'instances_{split}.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def as_coco(data: Path) -> list[str]:
    """Options for a data set of the user's own, which does not make its files itself."""
    classes = [each['name'] for each in json.loads((data / 'annotations/instances_val.json').read_text())['categories']]
    options = []
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        options += [f'{loader}.dataset.type=CocoDataset', f'{loader}.dataset.metainfo.classes={tuple(classes)!r}']
    return [option.replace(' ', '') for option in options]


def test_missing_annotation_file(train: Train, data: Path, tmp_path: Path) -> None:
    options = as_coco(data)
    (data / 'annotations/instances_train.json').rename(data / 'annotations/instances_trainn.json')
    line = error_of(train(data, tmp_path / 'work', *options))
    assert 'instances_train.json' in line
    assert 'instances_trainn.json' in line


def test_annotation_file_cut_short(train: Train, data: Path, tmp_path: Path) -> None:
    options = as_coco(data)
    path = data / 'annotations/instances_train.json'
    path.write_text(path.read_text()[:200])
    assert 'instances_train.json' in error_of(train(data, tmp_path / 'work', *options))


def test_categories_do_not_match(train: Train, data: Path, tmp_path: Path) -> None:
    options = as_coco(data)
    edit(data, lambda content: content['categories'].__getitem__(0).update(name='hexagon'))
    line = error_of(train(data, tmp_path / 'work', *options))
    assert 'hexagon' in line
    assert 'metainfo' in line


def test_number_of_classes_does_not_match(train: Train, data: Path, tmp_path: Path) -> None:
    line = error_of(train(data, tmp_path / 'work', 'model.roi_head.bbox_head.num_classes=7'))
    assert 'num_classes' in line
    assert '7' in line


def test_spoilt_boxes_and_images_are_counted_and_skipped(train: Train, data: Path, tmp_path: Path) -> None:
    """Training goes on past boxes outside and without area, an image without boxes, and one that does not decode."""
    options = as_coco(data)

    def spoil(content: dict) -> None:
        boxes = content['annotations']
        boxes[0]['bbox'] = [500, 500, 20, 20]
        boxes[1]['bbox'] = [10, 10, 0, 5]
        boxes[1]['area'] = 0
        empty = content['images'][2]['id']
        content['annotations'] = [box for box in boxes if box['image_id'] != empty]

    edit(data, spoil)
    broken = sorted((data / 'train').glob('*.jpg'))[0]
    broken.write_bytes(broken.read_bytes()[:20])
    done = train(data, tmp_path / 'work', *options)
    assert done.returncode == 0, done.stderr[-3000:]
    output = done.stdout + done.stderr
    assert re.search(r'warning: .*outside', output)
    assert re.search(r'warning: .*area', output)
    assert re.search(r'warning: .*without', output)
    assert f"{broken.name}' does not decode" in output
    assert (tmp_path / 'work/epoch_1.pth').is_file()


def test_missing_images_stop_an_evaluation_before_its_training(train: Train, data: Path, tmp_path: Path) -> None:
    """With ``--no-data-check`` nothing is looked for, and training still skips what is missing of its own images."""
    options = as_coco(data)
    evaluated = sorted((data / 'val').glob('*.jpg'))[0]
    evaluated.rename(tmp_path / 'moved.jpg')
    broken = sorted((data / 'train').glob('*.jpg'))[0]
    broken.unlink()
    line = error_of(train(data, tmp_path / 'work', *options))
    assert f"1 of 2 images looked for do not exist (first: '{evaluated.name}')" in line
    (tmp_path / 'moved.jpg').rename(evaluated)
    done = train(data, tmp_path / 'work', *options, flags=('--no-data-check',))
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{broken.name}' does not exist" in done.stdout + done.stderr
    assert 'looked for' not in done.stdout + done.stderr


def test_batch_of_one(train: Train, data: Path, tmp_path: Path) -> None:
    done = train(data, tmp_path / 'work', 'train_dataloader.batch_size=1', 'train_dataloader.dataset.indices=2')
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'loss_cds_backbone3' in done.stdout + done.stderr
    assert 'nan' not in done.stdout


def test_a_tap_that_does_not_exist(train: Train, data: Path, tmp_path: Path) -> None:
    line = error_of(train(data, tmp_path / 'work', 'model.neck.taps=[backbone.7]'))
    assert 'backbone.7' in line
    assert 'backbone.3' in line


def test_a_neck_that_is_missing(train: Train, data: Path, tmp_path: Path) -> None:
    config = tmp_path / 'no_neck.py'
    config.write_text(
        f"_base_ = '{ROOT}/configs/shapes/faster_rcnn_r18_shapes.py'\ncustom_hooks = [dict(type='mmcds.CDSHook')]\n"
    )
    line = error_of(train(data, tmp_path / 'work', config=str(config)))
    assert 'CDSNeck' in line
    assert 'add_cds' in line


def test_a_config_that_does_not_exist() -> None:
    """In an interpreter of its own, unlike the other mistakes: what ends the process is the command itself."""
    command = [sys.executable, 'tools/train.py', 'mmdet::retinanet/retinanet_r50_fpn_1x_cocoo.py', '--cds']
    line = error_of(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False))
    assert 'retinanet/retinanet_r50_fpn_1x_coco.py' in line


def test_a_checkpoint_cut_short(preloaded: Preloaded, trained: Path, shapes: Path, tmp_path: Path) -> None:
    work = Path(shutil.copytree(trained.parent, tmp_path / 'work'))
    whole = work / 'epoch_1.pth'
    cut = work / 'epoch_2.pth'
    cut.write_bytes(whole.read_bytes()[:-1000])
    before = whole.read_bytes()
    for tool in (['tools/test.py', CONFIG, str(cut)], ['tools/train.py', CONFIG, '--resume', str(cut)]):
        line = error_of(preloaded.run(*tool, '--work-dir', str(work), '--cfg-options', f'data_root={shapes}'))
        assert 'cut short' in line
        assert 'epoch_1.pth' in line
    assert whole.read_bytes() == before


def test_a_test_image_that_does_not_decode(preloaded: Preloaded, trained: Path, data: Path, tmp_path: Path) -> None:
    options = as_coco(data)
    broken = sorted((data / 'val').glob('*.jpg'))[0]
    broken.write_bytes(b'no image')
    line = error_of(
        preloaded.run('tools/test.py', CONFIG, str(trained), '--work-dir', str(tmp_path / 'test'), '--cfg-options',
                      f'data_root={data}', *options)
    )  # fmt: skip
    assert broken.name in line
