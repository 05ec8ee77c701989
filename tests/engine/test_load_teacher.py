"""A teacher that is missing, of other classes or of another architecture, in the order in which it is found out."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from classifiers import build_classifier, classifier_config
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn
from toys import toy_model

import mmcds.config.check_teacher
from mmcds import add_cds
from mmcds.config.check_teacher import check_teacher
from mmcds.engine.load_teacher import check_pair, load_teacher


@pytest.fixture(scope='module')
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``config.py`` and ``weights.pth`` of a classifier trained with CDS and with a queue."""
    folder = tmp_path_factory.mktemp('teacher')
    cfg = add_cds(classifier_config(8), queue_length=6)
    cfg.dump(folder / 'config.py')
    torch.save({'state_dict': build_classifier(cfg, seed=9).state_dict()}, folder / 'weights.pth')
    return folder


def student(folder: Path, **hook: Any) -> Config:
    cfg = add_cds(classifier_config(), distill=dict(channels=64))
    settings: dict[str, Any] = dict(teacher=str(folder / 'config.py'), checkpoint=str(folder / 'weights.pth'))
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='mmcds.DistillHook', **{**settings, **hook})]
    return cfg


def test_a_pair_that_fits_passes(teacher: Path) -> None:
    check_teacher(student(teacher))
    check_teacher(classifier_config())
    check_teacher(add_cds(toy_model()))


def test_what_does_not_fit_is_named_before_anything_is_built(teacher: Path, tmp_path: Path) -> None:
    cut = tmp_path / 'cut.pth'
    cut.write_bytes((teacher / 'weights.pth').read_bytes()[:-500])
    other = Config.fromfile(teacher / 'config.py')
    other.model.head.num_classes = 5
    other.dump(tmp_path / 'five.py')
    for hook, message in (
        (
            dict(checkpoint=None),
            r'^teacher_checkpoint is not set; train .*config\.py first and give --cfg-options teach',
        ),
        (dict(checkpoint=str(tmp_path / 'none.pth')), r'none\.pth.* does not exist; whole checkpoints in'),
        (dict(checkpoint=str(cut)), r'cut\.pth.* is cut short or no checkpoint'),
        (dict(teacher=str(teacher / 'confi.py')), r'confi\.py'),
        (
            dict(teacher=str(tmp_path / 'five.py')),
            r'^DistillHook\.teacher=.* tells 5 classes apart, the student 3; choose',
        ),
        (dict(teacher=None), r'^DistillHook\.teacher is not set; give the config of the trained teacher$'),
        (dict(teacher_mode='evil'), r"^DistillHook\.teacher_mode='evil' is not known; nearest: eval"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            check_teacher(student(teacher, **hook))
    cfg = student(teacher)
    cfg.custom_hooks += [cfg.custom_hooks[-1]]
    with pytest.raises(ValueError, match=r'^custom_hooks has 2 DistillHooks; a student has one teacher$'):
        check_teacher(cfg)
    cfg = student(teacher)
    cfg.model.neck.distill = None
    with pytest.raises(ValueError, match=r'model\.neck\.distill is not set; give distill=dict\(\)$'):
        check_teacher(cfg)
    cfg.custom_hooks.pop()
    cfg.model.neck.distill = {}
    with pytest.raises(ValueError, match=r'^model\.neck\.distill is set but nothing brings a teacher; add'):
        check_teacher(cfg)


def test_a_tap_that_the_teacher_has_not_is_named_before_anything_is_built(teacher: Path, tmp_path: Path) -> None:
    last_only = Config.fromfile(teacher / 'config.py')
    last_only.model.backbone.out_indices = (3,)
    last_only.model.neck = dict(type='GlobalAveragePooling')
    last_only.dump(tmp_path / 'last.py')
    with pytest.raises(
        ValueError, match=r"^model\.neck\.taps='backbone\.1' is not known; .*backbone\.0.*teacher '.*last"
    ):
        check_teacher(student(teacher, teacher=str(tmp_path / 'last.py')))


@pytest.mark.parametrize('weight', [1.0, 0.0])
def test_where_no_logits_are_followed_the_classes_and_the_head_do_not_matter(
    weight: float, teacher: Path, tmp_path: Path
) -> None:
    for name, change in (('five', dict(num_classes=5)), ('headless', None)):
        cfg = Config.fromfile(teacher / 'config.py')
        if change is None:
            cfg.model.head = None
        else:
            cfg.model.head.update(change)
        cfg.dump(tmp_path / f'{name}.py')
    for name, message in (
        ('five', r'tells 5 classes apart, the student 3; .*, or set distill=dict\(logits_weight=0\)$'),
        ('headless', r"^model\.neck\.distill\.logits_weight=1\.0: the teacher '.*less\.py' \(ImageClassifier\) has no"),
    ):
        cfg = student(teacher, teacher=str(tmp_path / f'{name}.py'))
        cfg.model.neck.distill.logits_weight = weight
        with pytest.raises(ValueError, match=message) if weight else nullcontext():
            check_teacher(cfg)


#: A teacher trained with CDS embeds all taps in the width of its last stage, one without in that of each stage.
@pytest.mark.parametrize(
    ('stock', 'channels', 'wanted'),
    [
        (False, 32, 64),
        (False, None, 64),
        (False, [64, 64, 32, 64], 64),
        (True, 64, [8, 16, 32, 64]),
        (True, None, [8, 16, 32, 64]),
    ],
)
def test_the_widths_of_its_embeddings_are_named(
    stock: bool, channels: Any, wanted: Any, teacher: Path, tmp_path: Path
) -> None:
    cfg = student(teacher)
    if stock:
        # Trained without CDS, it is followed by its pooled stages.
        classifier_config(8).dump(tmp_path / 'stock.py')
        cfg = student(teacher, teacher=str(tmp_path / 'stock.py'))
    cfg.model.neck.distill.channels = channels
    with pytest.raises(ValueError, match=r'^model\.neck\.distill\.channels=') as error:
        check_teacher(cfg)
    message = str(error.value)
    assert message.startswith(f'model.neck.distill.channels={channels}: the teacher ')
    assert message.endswith(f'; set model.neck.distill.channels={wanted}')
    assert '\n' not in message
    cfg.model.neck.distill.channels = wanted
    check_teacher(cfg)
    cfg.model.neck.distill.update(channels=channels, distance_weight=0)
    check_teacher(cfg)


def test_taps_that_only_the_student_has_are_the_teacher_s_pooled_maps(teacher: Path, tmp_path: Path) -> None:
    partial = add_cds(classifier_config(8), taps=['backbone.3'])
    partial.dump(tmp_path / 'partial.py')
    cfg = student(teacher, teacher=str(tmp_path / 'partial.py'))
    with pytest.raises(ValueError, match=r'set model\.neck\.distill\.channels=\[8, 16, 32, 64\]$'):
        check_teacher(cfg)


def test_a_teacher_that_the_probe_cannot_call_is_left_to_training(
    teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise ValueError('cannot be probed')

    monkeypatch.setattr(mmcds.config.check_teacher, 'probe_channels', fail)
    check_teacher(student(teacher))
    cfg = student(teacher)
    cfg.model.neck.distill.channels = 8
    # Its projectors are known all the same.
    with pytest.raises(ValueError, match=r'set model\.neck\.distill\.channels=64$'):
        check_teacher(cfg)


def test_what_is_no_model_with_a_backbone(teacher: Path, tmp_path: Path) -> None:
    (tmp_path / 'data.py').write_text('data_root = "x"\n')
    with pytest.raises(ValueError, match=r"^DistillHook\.teacher='.*data\.py' has no model\.backbone; give"):
        check_teacher(student(teacher, teacher=str(tmp_path / 'data.py')))


def test_a_detector_has_no_logits_of_images(teacher: Path, tmp_path: Path) -> None:
    toy_model().dump(tmp_path / 'detector.py')
    hook = dict(
        type='mmcds.DistillHook', teacher=str(tmp_path / 'detector.py'), checkpoint=str(teacher / 'weights.pth')
    )
    cfg = add_cds(toy_model(), distill=dict())
    cfg.custom_hooks = [*cfg.custom_hooks, hook]
    with pytest.raises(
        ValueError, match=r'logits_weight=1\.0: the student \(FasterRCNN\) has no head .*set distill=dict\(logits_w'
    ):
        check_teacher(cfg)
    # A stock detector is followed by its pooled maps.
    cfg.model.neck.distill.update(logits_weight=0, channels=[16, 32, 64, 128])
    check_teacher(cfg)


def test_a_detector_that_another_model_trains_is_the_student(tmp_path: Path) -> None:
    stock = toy_model()
    stock.dump(tmp_path / 'detector.py')
    torch.save({'state_dict': {}}, tmp_path / 'weights.pth')
    wrapped = Config(dict(default_scope='mmdet', model=dict(type='SoftTeacher', detector=stock.model)))
    cfg = add_cds(wrapped, distill=dict(logits_weight=0, channels=[16, 32, 64, 128]))
    with pytest.raises(ValueError, match=r'^model\.detector\.neck\.distill is set but nothing brings a teacher; add'):
        check_teacher(cfg)
    hook = dict(
        type='mmcds.DistillHook', teacher=str(tmp_path / 'detector.py'), checkpoint=str(tmp_path / 'weights.pth')
    )
    cfg.custom_hooks = [*cfg.custom_hooks, hook]
    check_teacher(cfg)
    cfg.model.detector.neck.distill.channels = 8
    with pytest.raises(
        ValueError,
        match=r'^model\.detector\.neck\.distill\.channels=8: .*set model\.detector\.neck\.distill\.channels=\[',
    ):
        check_teacher(cfg)
    cfg.model.detector.neck.distill.logits_weight = 1
    with pytest.raises(
        ValueError, match=r'^model\.detector\.neck\.distill\.logits_weight=1: the student \(FasterRCNN\)'
    ):
        check_teacher(cfg)


def test_weights_are_loaded_and_the_random_numbers_left_alone(teacher: Path) -> None:
    drawn = torch.get_rng_state()
    model = load_teacher(str(teacher / 'config.py'), str(teacher / 'weights.pth'))
    assert torch.equal(torch.get_rng_state(), drawn)
    weights = torch.load(teacher / 'weights.pth')['state_dict']
    assert list(model.state_dict()) == list(weights)
    for name, value in model.state_dict().items():
        # Its queues show nothing and are not loaded.
        assert torch.equal(value, weights[name]) or 'queues' in name, name


def test_weights_with_cds_serve_a_stock_config(teacher: Path, tmp_path: Path) -> None:
    classifier_config(8).dump(tmp_path / 'stock.py')
    model = load_teacher(str(tmp_path / 'stock.py'), str(teacher / 'weights.pth'))
    weights = torch.load(teacher / 'weights.pth')['state_dict']
    assert len(model.state_dict()) < len(weights)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_weights_of_another_architecture_are_refused(teacher: Path, tmp_path: Path) -> None:
    for name, cfg, message in (
        ('narrow', classifier_config(4), r'it has another shape of \d+ of \d+ weights \(backbone\.conv1\.weight, '),
        ('deep', classifier_config(8, depth=34), r'it lacks \d+ of \d+ weights \(backbone\.layer1\.2\.conv1\.weight, '),
        ('queue', add_cds(classifier_config(8), queue_length=9), None),
    ):
        cfg.dump(tmp_path / f'{name}.py')
        if message is None:
            # Queues are no part of what a teacher shows.
            load_teacher(str(tmp_path / f'{name}.py'), str(teacher / 'weights.pth'))
            continue
        with pytest.raises(
            ValueError, match=r'^DistillHook.checkpoint=.* is not of the architecture of .*: ' + message
        ) as e:
            load_teacher(str(tmp_path / f'{name}.py'), str(teacher / 'weights.pth'))
        assert '\n' not in str(e.value)
    with pytest.raises(ValueError, match=r'^DistillHook\.checkpoint is not set'):
        load_teacher(str(teacher / 'config.py'), None)
    foreign = torch.load(teacher / 'weights.pth')['state_dict']
    torch.save({'state_dict': {**foreign, 'backbone.extra.weight': torch.ones(1)}}, tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match=r'it has beside it 1 of \d+ weights \(backbone\.extra\.weight, '):
        load_teacher(str(teacher / 'config.py'), str(tmp_path / 'foreign.pth'))


def test_normalisations_are_compared() -> None:
    def model(mean: float | None, channels: int = 3) -> Any:
        made: Any = nn.Module()
        made.data_preprocessor = nn.Module()
        if mean is not None:
            made.data_preprocessor.register_buffer('mean', torch.full((channels, 1, 1), mean))
        return made

    check_pair(model(1.0), model(1.0))
    with pytest.raises(ValueError, match=r'^data_preprocessor\.mean of the student is'):
        check_pair(model(1.0), model(1.0, 4))
    check_pair(model(1.0), model(None))
    with pytest.raises(
        ValueError, match=r'^data_preprocessor\.mean of the student is \[1\.0, .*, of the teacher \[2\.0'
    ):
        check_pair(model(1.0), model(2.0))


@pytest.mark.parametrize('kind', ['mmdet', 'mmpretrain', 'branches'])
def test_preprocessors_are_compared_with_what_they_leave_out(kind: str) -> None:
    from mmdet.models.data_preprocessors import MultiBranchDataPreprocessor
    from mmpretrain.models.utils import ClsDataPreprocessor

    def model(mean: float | None = None, std: float = 1.0, swaps: bool = False, channels: int = 3) -> Any:
        made: Any = nn.Module()
        values = {} if mean is None else dict(mean=[mean] * channels, std=[std] * channels)
        if kind == 'mmpretrain':
            made.data_preprocessor = ClsDataPreprocessor(to_rgb=swaps, **values)
            return made
        single = dict(type='mmdet.DetDataPreprocessor', bgr_to_rgb=swaps, **values)
        made.data_preprocessor = MODELS.build(single) if kind == 'mmdet' else MultiBranchDataPreprocessor(single)
        return made

    check_pair(model(), model(0.0))
    check_pair(model(127.5, 60, swaps=True), model(127.5, 60, swaps=True, channels=1))
    for student, teacher, message in (
        (model(), model(127.5, 60), r'mean of the student is \[0\.0\], of the teacher \[127\.5, '),
        (model(127.5, 60), model(), r'mean of the student is \[127\.5, .*, of the teacher \[0\.0\]; '),
        (model(), model(0.0, 255), r'std of the student is \[1\.0\], of the teacher \[255\.0, '),
        (
            model(1.0),
            model(1.0, swaps=True),
            r'bgr_to_rgb \(or to_rgb\) of the student is False, of the teacher True; ',
        ),
    ):
        with pytest.raises(
            ValueError, match=r'^data_preprocessor\.' + message + '.*with the same (normalisation|order of channels)$'
        ):
            check_pair(student, teacher)
