"""A user's mistakes on the classification side, made with the real command: one line, no traceback."""

import re
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from classifiers import build_classifier, classifier_config
from preloaded import Preloaded

from mmcds import add_cds

DISTILL = 'teacher_checkpoint={work}/teacher.pth'

pytestmark = pytest.mark.slow


def error_of(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 2, done.stdout[-2000:] + done.stderr[-2000:]
    assert 'Traceback' not in done.stderr + done.stdout, done.stderr[-3000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1, done.stderr[-2000:]
    return lines[0]


class Workplace:
    """A folder with three classes of four images, the configs of a student and a teacher, and the teacher's weights."""

    def __init__(self, root: Path, preloaded: Preloaded) -> None:
        self.root, self.preloaded = root, preloaded
        generator = np.random.default_rng(0)
        for label in 'abc':
            (root / 'images' / label).mkdir(parents=True)
            for i in range(4):
                image = generator.integers(256, size=(32, 32, 3), dtype=np.uint8)
                cv2.imwrite(str(root / 'images' / label / f'{i}.png'), image)
        self.pipeline: list[dict[str, Any]] = [
            dict(type='LoadImageFromFile'),
            dict(
                type='mmcds.TwoViews',
                first=[],
                second=[dict(type='RandomFlip', prob=1.0)],
                pack=dict(type='PackInputs'),
            ),
        ]
        teacher = add_cds(classifier_config(8))
        teacher.dump(root / 'teacher.py')
        torch.save({'state_dict': build_classifier(teacher).state_dict()}, root / 'teacher.pth')

    def write(self, distill: bool = False, fraction: dict[str, Any] | None = None, **neck: Any) -> Path:
        """The student's config; ``neck`` are arguments of its CDSNeck."""
        options = dict(distill=dict(channels=64)) if distill else {}
        cfg = add_cds(classifier_config(), view=dict(type='DataloaderView'), **options)
        cfg.model.neck.update(neck)
        if distill:
            hook = dict(type='mmcds.DistillHook', teacher=str(self.root / 'teacher.py'), checkpoint=None)
            cfg.custom_hooks = [*cfg.custom_hooks, hook]
        dataset: dict[str, Any] = dict(
            type='CustomDataset', data_root=str(self.root / 'images'), pipeline=self.pipeline
        )
        if fraction is not None:
            dataset = dict(type='mmcds.LabelledFraction', dataset=dataset, **fraction)
        cfg.merge_from_dict(
            dict(
                train_dataloader=dict(
                    batch_size=4,
                    num_workers=0,
                    persistent_workers=False,
                    sampler=dict(type='DefaultSampler', shuffle=True),
                    dataset=dataset,
                ),
                train_cfg=dict(by_epoch=True, max_epochs=1),
                optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)),
                default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
                randomness=dict(seed=0),
            )
        )
        cfg.dump(self.root / 'student.py')
        return self.root / 'student.py'

    def train(self, config: Path | None = None, *options: str) -> subprocess.CompletedProcess:
        config = config or self.write()
        command = ['tools/train.py', str(config), '--work-dir', str(self.root / 'work')]
        if options:
            command += ['--cfg-options', *(each.format(work=self.root) for each in options)]
        return self.preloaded.run(*command)


@pytest.fixture
def place(tmp_path: Path, preloaded: Preloaded) -> Workplace:
    return Workplace(tmp_path, preloaded)


def test_what_is_right_trains_past_a_corrupt_image(place: Workplace) -> None:
    """With a teacher and a third of the labels; the broken file is counted and named, and the run ends well."""
    broken = place.root / 'images/b/2.png'
    broken.write_bytes(broken.read_bytes()[:40])
    done = place.train(place.write(distill=True, fraction=dict(fraction=0.5)), DISTILL)
    assert done.returncode == 0, done.stderr[-3000:]
    output = done.stdout + done.stderr
    assert re.search(r'Skipped in training: .*b/2\.png. does not decode \(40 bytes', output)
    assert 'loss_distill_logits' in output
    assert 'nan' not in output
    assert (place.root / 'work/epoch_1.pth').is_file()


def test_a_label_out_of_range(place: Workplace) -> None:
    (place.root / 'images/d').mkdir()
    (place.root / 'images/a/0.png').rename(place.root / 'images/d/0.png')
    line = error_of(place.train())
    assert re.search(r'label 3 of .*images/d/0\.png is out of range for model\.head\.num_classes=3; set num_cl', line)


def test_a_view_pipeline_that_returns_one_view(place: Workplace) -> None:
    place.pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    line = error_of(place.train())
    assert re.search(r"4 of 4 data samples have no second view; end train_dataloader's pipeline with .*TwoViews", line)


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (None, r'teacher_checkpoint is not set; train .*teacher\.py first and give --cfg-options teacher_checkpoint='),
        (
            'teacher_checkpoint={work}/teaher.pth',
            r'teaher\.pth. does not exist; whole checkpoints in .*: teacher\.pth',
        ),
        (
            'teacher_checkpoint={work}/cut.pth',
            r'cut\.pth. \(\d+ bytes\) is cut short or no checkpoint; .*teacher\.pth',
        ),
        (
            'teacher_checkpoint={work}/deep.pth',
            r'deep\.pth. is not of the architecture of .*teacher\.py: it has beside',
        ),
    ],
    ids=['not given', 'missing', 'cut short', 'another architecture'],
)
def test_a_teacher_checkpoint_that_does_not_serve(option: str | None, message: str, place: Workplace) -> None:
    whole = (place.root / 'teacher.pth').read_bytes()
    (place.root / 'cut.pth').write_bytes(whole[:-1000])
    weights = torch.load(place.root / 'teacher.pth')['state_dict']
    weights['backbone.layer1.2.conv1.weight'] = torch.zeros(8, 8, 3, 3)
    torch.save({'state_dict': weights}, place.root / 'deep.pth')
    line = error_of(place.train(place.write(distill=True), *([option] if option else [])))
    assert re.search(message, line), line


def test_a_teacher_of_other_classes(place: Workplace) -> None:
    config = place.root / 'teacher.py'
    config.write_text(re.sub(r'num_classes=3', 'num_classes=5', config.read_text()))
    line = error_of(place.train(place.write(distill=True), DISTILL))
    assert re.search(r'DistillHook\.teacher=.*teacher\.py. tells 5 classes apart, the student 3; choose', line)


@pytest.mark.parametrize('fraction', ['0', '1.5'])
def test_a_fraction_out_of_range(fraction: str, place: Workplace) -> None:
    config = place.write(fraction=dict(fraction=0.5))
    line = error_of(place.train(config, f'train_dataloader.dataset.fraction={fraction}'))
    assert line == f'error: LabelledFraction.fraction={fraction} is out of range; give a number in (0, 1]'


def test_unlabelled_images_without_cds(place: Workplace) -> None:
    config = place.write(fraction=dict(fraction=0.5))
    line = error_of(place.train(config, 'model.neck.type=GlobalAveragePooling', 'custom_hooks=[]'))
    assert 'no CDSNeck that could learn from them; add CDS (--cds) or set keep_unlabelled=False' in line


def test_a_wrong_argument_of_the_control(place: Workplace) -> None:
    cfg = classifier_config()
    neck = dict(type='mmcds.DSNNeck', neck=cfg.model.neck, channels=dict(backbone=[4, 8, 16, 32]), num_clases=3)
    config = place.write()
    text = config.read_text()
    config.write_text(f'{text}\nmodel["neck"] = {neck!r}\n')
    line = error_of(place.train(config))
    assert re.search(r"mmcds\.DSNNeck: argument='num_clases' is not known; nearest: num_classes", line)
