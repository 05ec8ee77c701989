r"""Run every command of the README and of the guides, in a copy of the repository.

Data sets are stand-ins of a few images, detectors start from random weights, epochs are one, and eight processes are
two; all else, sizes of images and networks too, is what a reader gets. The pages that a driver wrote (results, cost)
name the command that made them, and are left to it, as the two commands of fresh_clone.sh are. Ends with 1 if a command
failed.

Examples:
  python benchmarks/speed/follow_docs.py
  python benchmarks/speed/follow_docs.py --pages docs/quick_start.md --keep ../followed
"""

import argparse
import json
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run

ROOT = Path(__file__).resolve().parents[2]
PAGES = ('README.md', 'docs/quick_start.md', 'docs/classification.md', 'docs/existing_projects.md')
#: Made by fresh_clone.sh or by tests/test_other_packages.py, or what only changes the shell.
ELSEWHERE = ('tools/quickstart.sh', 'tools/run_tests.sh', 'python tools/train.py mmseg::', '. ')
#: Words of the pages that stand for something of the reader's.
PLACEHOLDERS = {
    '/data/coco/': 'data/coco/',
    '/data/cifar100': 'data/cifar100',
    '8': '2',
    'CONFIG': 'configs/classification/cifar100/resnet18_cds.py',
}
CHECKPOINTS = {
    'docs/quick_start.md': 'work_dirs/fcos_r50-caffe_fpn_gn-head_1x_coco_cds/epoch_12.pth',
    'docs/classification.md': 'work_dirs/cifar100/resnet18_cds/epoch_300.pth',
}
SHORT = {'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1, 'default_hooks.logger.interval': 1}
# A schedule with a warm-up of more than one epoch would not start.
CLASSIFIER = {'train_dataloader.batch_size': 8, 'param_scheduler': None}
# No download.
DETECTOR = {'model.backbone.init_cfg': None}


def commands(page: Path) -> list[str]:
    """The shell commands in a page's indented blocks, continued lines joined, comments left out."""
    text = page.read_text().replace('\\\n', ' ')
    starts = ('python ', 'tools/', 'mim ', *ELSEWHERE)
    lines = [line.strip() for line in text.splitlines() if line.startswith('    ')]
    return list(dict.fromkeys(line for line in lines if line.startswith(starts)))


def copy_repository(to: Path) -> None:
    """What git would take along."""
    listed = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard'],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if os.path.lexists(ROOT / name):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name, follow_symlinks=False)


def picture(path: Path, height: int, width: int) -> None:
    """Write an image of noise."""
    import cv2
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def make_coco(to: Path) -> None:
    """Two images of each split, with four boxes each and COCO's classes."""
    from mmdet.datasets import CocoDataset

    names = CocoDataset.METAINFO['classes']
    for split in ('train2017', 'val2017'):
        files = [f'{i:012d}.jpg' for i in range(2)]
        for file in files:
            picture(to / 'data/coco' / split / file, 480, 640)
        images = [dict(id=i, file_name=file, height=480, width=640) for i, file in enumerate(files)]
        boxes = [
            dict(id=4 * i + k, image_id=i, category_id=k + 1, bbox=[100 * k, 90 * k, 120, 100], area=12000, iscrowd=0)
            for i in range(len(files))
            for k in range(4)
        ]
        content = dict(
            images=images, annotations=boxes, categories=[dict(id=i + 1, name=name) for i, name in enumerate(names)]
        )
        path = to / f'data/coco/annotations/instances_{split}.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def make_cifar100(to: Path) -> None:
    """Two images of each class in each split."""
    import numpy as np

    random = np.random.default_rng(0)
    cifar = to / 'data/cifar100/cifar-100-python'
    cifar.mkdir(parents=True)
    for split in ('train', 'test'):
        labels = [i % 100 for i in range(200)]
        data = random.integers(0, 256, (len(labels), 3072), np.uint8)
        (cifar / split).write_bytes(pickle.dumps(dict(data=data, fine_labels=labels)))
    (cifar / 'meta').write_bytes(pickle.dumps(dict(fine_label_names=[str(i) for i in range(100)])))
    # mmpretrain compares the files with the checksums of the real ones.
    (to / 'stand_in.py').write_text('import mmpretrain.datasets.cifar as c\n\nc.check_md5 = lambda *args: True\n')
    with (to / 'configs/classification/_base_/datasets/cifar100.py').open('a') as config:
        config.write("custom_imports = dict(imports=['stand_in'], allow_failed_imports=False)\n")


def make_released(to: Path) -> None:
    """A checkpoint as the released code writes it, of random weights."""
    sys.path.insert(0, str(ROOT / 'tests'))
    import torch
    from released import ReleasedNet

    torch.save(ReleasedNet(18, True, classes=100).state_dict(), to / 'released.pth')


def make_imagenet(to: Path) -> None:
    """Eight images of two classes in each split."""
    for split in ('train', 'val'):
        files = [f'n{i % 2:08d}/{i}.JPEG' for i in range(8)]
        for file in files:
            picture(to / 'data/imagenet' / split / file, 256, 300)
        (to / 'data/imagenet/meta').mkdir(exist_ok=True)
        listed = ''.join(f'{name} {i % 2}\n' for i, name in enumerate(files))
        (to / f'data/imagenet/meta/{split}.txt').write_text(listed)


def sample_run(to: Path, name: str, flags: list[str]) -> None:
    """A run of the shapes example, for the commands that look at runs."""
    command = [sys.executable, 'tools/train.py', 'configs/shapes/faster_rcnn_r18_shapes.py', *flags]
    options = ['train_cfg.max_epochs=1', 'train_dataloader.dataset.indices=16', 'val_dataloader.dataset.indices=8']
    command += ['--work-dir', f'work_dirs/{name}', '--cfg-options', *options]
    done = subprocess.run(command, cwd=to, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f'the sample run {name!r} failed: {done.stderr[-1000:]}')


def as_run(command: str, page: str) -> list[str]:
    """A command's words with placeholders filled in, and one epoch of training."""
    words = shlex.split(command, comments=True)
    table = {**PLACEHOLDERS, 'CHECKPOINT': CHECKPOINTS.get(page, 'CHECKPOINT')}
    for old, new in table.items():
        words = [new if word == old else word.replace(f'={old}', f'={new}') for word in words]
    if re.search(r'train', words[1] if words[0] == 'python' else ' '.join(words[:2])):
        classifier = any('classification' in word or 'mmpretrain' in word for word in words)
        options = {**SHORT, **(CLASSIFIER if classifier else DETECTOR)}
        words += [] if '--cfg-options' in words else ['--cfg-options']
        words += [f'{key}={value}' for key, value in options.items()]
    return [sys.executable, *words[1:]] if words[0] == 'python' else words


def provide_checkpoints(words: list[str], to: Path) -> None:
    """Where a command names a run's last checkpoint, the one epoch of this run stands in for it."""
    for word in words:
        path = to / word
        if re.search(r'epoch_\d+\.pth$', word) and not path.is_file() and (path.parent / 'epoch_1.pth').is_file():
            shutil.copy2(path.parent / 'epoch_1.pth', path)


def main() -> int:
    """Run all, one line per command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--pages', nargs='+', default=PAGES, help='pages to follow (default: the README and the guides)'
    )
    parser.add_argument('--keep', help='an empty folder for the copy and its results (default: a temporary one)')
    args = parser.parse_args()
    empty = [page for page in args.pages if not (ROOT / page).is_file() or not commands(ROOT / page)]
    if empty:
        raise ValueError(f'--pages {empty[0]} has no commands; those that have: {", ".join(PAGES)}')
    with tempfile.TemporaryDirectory() as temporary:
        to = Path(args.keep or temporary).resolve()
        to.mkdir(parents=True, exist_ok=True)
        if any(to.iterdir()):
            raise ValueError(f'--keep {to} is not empty; give an empty folder')
        copy_repository(to)
        for make in (make_coco, make_cifar100, make_released, make_imagenet):
            make(to)
        for name, flags in (('stock', []), ('cds', ['--cds'])):
            sample_run(to, name, flags)
        return follow(to, args.pages)


def follow(to: Path, pages: list[str]) -> int:
    """Run the pages' commands in the copy ``to``; 1 if one failed, else 0."""
    # `mim` and `python` of this environment, the package of the copy.
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    environment = {**os.environ, 'PATH': path, 'PYTHONPATH': str(to)}
    failed = count = left = 0
    for page in pages:
        for command in commands(to / page):
            if command.startswith(ELSEWHERE):
                continue
            words = as_run(command, page)
            if shutil.which(words[0], path=path) is None and '/' not in words[0]:
                print(f'{page}: not run, {words[0]} is not installed: {command}')
                left += 1
                continue
            provide_checkpoints(words, to)
            log = to / 'logs' / f'{count:02d}.log'
            log.parent.mkdir(exist_ok=True)
            began = time.perf_counter()
            with log.open('w') as file:
                code = subprocess.run(words, cwd=to, env=environment, stdout=file, stderr=subprocess.STDOUT).returncode
            print(
                f'{page}: {"ok" if code == 0 else f"FAILED ({code})"} in {time.perf_counter() - began:.0f} s: {command}'
            )
            if code:
                failed += 1
                print(''.join(f'    {line}\n' for line in log.read_text().splitlines()[-15:]))
            sys.stdout.flush()
            count += 1
    print(f'{count - failed} of {count} commands did as they say; {left} were not run')
    return 1 if failed else 0


if __name__ == '__main__':
    run(main)
