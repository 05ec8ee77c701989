"""A step with a teacher against the paper's sum written out, for classifiers and detectors."""

from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from classifiers import NUM_CLASSES, build_classifier, classifier_batch, classifier_config
from pooling import boxes_of, pooled_boxes
from torch import Tensor
from toys import build, flat, gradients, hooks_of, total, toy_batch, toy_model

from mmcds import add_cds
from mmcds.models import Teacher, TwoViewForward

LABELS = [0, 1, 0, 2, 1]


def attached(student: Any, teacher: Any = None, mode: str = 'eval', seed: int = 5) -> TwoViewForward:
    forward = TwoViewForward(student).attach()
    forward.begin_step(seed=seed)
    if teacher is not None:
        forward.teacher = Teacher(teacher, mode)
    return forward


def second_view(student: Any, batch: dict[str, Any], seed: int = 5) -> Tensor:
    torch.manual_seed(seed)
    second, _ = student.neck.cds.view(batch['inputs'], batch['data_samples'], student.data_preprocessor)
    return second


def norm(x: Tensor) -> Tensor:
    return x.double() / x.double().square().sum(1, keepdim=True).sqrt()


@pytest.mark.parametrize('mode', ['eval', 'train'])
@pytest.mark.parametrize(
    ('width', 'cds', 'adapted'),
    [(8, True, [0, 1, 2, 3]), (4, True, []), (8, False, [0, 1, 3])],
    ids=['wider, with CDS', 'as wide, with CDS', 'wider, stock'],
)
def test_a_step_is_the_paper_s(width: int, cds: bool, adapted: list[int], mode: str) -> None:
    """0.1 of the norm at each tap over both views, and the soft cross entropy at T = 3 on view 1."""
    cfg = classifier_config(width)
    teacher = build_classifier(add_cds(cfg) if cds else cfg, seed=9)
    # A stock teacher shows its pooled stages.
    channels: Any = 8 * width if cds else [width, 2 * width, 4 * width, 8 * width]
    student = build_classifier(add_cds(classifier_config(), distill=dict(channels=channels)))
    adapters = student.neck.cds.distill.adapters
    assert list(adapters) == [f'backbone{i}' for i in adapted]
    plain, theirs = deepcopy(student), deepcopy(teacher).train(mode == 'train')
    batch = classifier_batch(student, LABELS)
    both = torch.cat([batch['inputs'], second_view(student, batch)])
    attached(student, teacher, mode)
    losses = student(**batch, mode='loss')
    names = {f'loss_{kind}_backbone{i}' for kind in ('cds', 'distill') for i in range(4)}
    assert set(losses) == {'loss', 'loss_distill_logits', *names}

    with torch.no_grad():
        maps, shown = plain.backbone(both), theirs.backbone(both)
        for i, (own, their) in enumerate(zip(maps, shown, strict=True)):
            key = f'backbone{i}'
            z = norm(plain.neck.cds.projectors[key](own))
            if key in adapters:
                z = z @ adapters[key].weight.double().T + adapters[key].bias.double()
            z_teacher = norm(theirs.neck.cds.projectors[key](their) if cds else their.mean((2, 3)))
            expected = 0.1 * (z_teacher - z).square().sum().sqrt()
            assert expected > 1e-3
            torch.testing.assert_close(losses[f'loss_distill_{key}'].double(), expected, rtol=1e-4, atol=1e-6)
        count = len(LABELS)
        logits = plain.head.fc(maps[-1][:count].mean((2, 3))).double()
        wanted = theirs.head.fc(shown[-1][:count].mean((2, 3))).double()
        assert logits.shape == (count, NUM_CLASSES)
        expected = -((wanted / 3).softmax(1) * (logits / 3).log_softmax(1)).sum(1).mean()
        torch.testing.assert_close(losses['loss_distill_logits'].double(), expected, rtol=1e-5, atol=1e-6)
    total(losses).backward()
    assert [name for name, p in student.named_parameters() if p.grad is None] == []


def test_the_other_losses_are_those_without_a_teacher() -> None:
    alone = build_classifier(add_cds(classifier_config()))
    student = build_classifier(add_cds(classifier_config(), distill=dict(channels=64)), like=alone)
    attached(alone)
    attached(student, build_classifier(add_cds(classifier_config(8)), seed=9))
    torch.manual_seed(8)
    expected = alone(**classifier_batch(alone, LABELS), mode='loss')
    state = torch.get_rng_state()
    torch.manual_seed(8)
    found = student(**classifier_batch(student, LABELS), mode='loss')
    assert torch.equal(torch.get_rng_state(), state)
    assert set(found) - set(expected) == {'loss_distill_logits', *(f'loss_distill_backbone{i}' for i in range(4))}
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


def test_without_weight_the_teacher_is_not_run() -> None:
    teacher = build_classifier(add_cds(classifier_config(8)), seed=9)
    calls: list[int] = []
    for module in (teacher.backbone, teacher.head):
        module.register_forward_pre_hook(lambda _module, _args: calls.append(1))
    student = build_classifier(add_cds(classifier_config(), distill=dict(channels=64)))
    two_views = attached(student, teacher)
    student.neck.cds.weight = 0.0
    zeros = student(**classifier_batch(student, LABELS), mode='loss')
    assert calls == []
    assert all(loss == 0 for key, loss in zeros.items() if key != 'loss')
    total(zeros).backward()
    assert [name for name, p in student.named_parameters() if p.grad is None] == []
    two_views.begin_step(0.5, 5)
    half = student(**classifier_batch(student, LABELS), mode='loss')
    assert calls == [1, 1]
    # The same names at every step, or the log and DDP would stumble.
    assert list(zeros) == list(half)
    two_views.begin_step(1.0, 5)
    whole = student(**classifier_batch(student, LABELS), mode='loss')
    for key in ('loss_distill_logits', 'loss_distill_backbone3'):
        torch.testing.assert_close(half[key] * 2, whole[key], rtol=1e-3, atol=1e-5)


def test_a_student_whose_second_view_is_smaller() -> None:
    cds: dict[str, Any] = dict(concat=False, view=dict(type='PhotometricView', scale=0.5))
    student = build_classifier(add_cds(classifier_config(), distill={}, **cds))
    teacher = build_classifier(add_cds(classifier_config()), seed=9)
    plain, theirs = deepcopy(student), deepcopy(teacher).eval()
    batch = classifier_batch(student, LABELS, side=64)
    views = (batch['inputs'], second_view(student, batch))
    assert views[1].shape[2:] == (32, 32)
    attached(student, teacher)
    losses = student(**batch, mode='loss')
    with torch.no_grad():
        rows = [torch.cat([norm(each.backbone(view)[3].mean((2, 3))) for view in views]) for each in (plain, theirs)]
    torch.testing.assert_close(
        losses['loss_distill_backbone3'].double(), 0.1 * (rows[1] - rows[0]).norm(), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize('labels', [[0, None, 2, None], [None, None]], ids=['half', 'none labelled'])
def test_unlabelled_images_join_the_embeddings_and_not_the_logits(labels: list[int | None]) -> None:
    """A head saw one image of a batch without any label, so that ranks do the same: its logits count nothing."""
    student = build_classifier(add_cds(classifier_config(), distill={}))
    teacher = build_classifier(add_cds(classifier_config()), seed=9)
    plain, theirs = deepcopy(student), deepcopy(teacher).eval()
    batch = classifier_batch(student, labels)
    both = torch.cat([batch['inputs'], second_view(student, batch)])
    attached(student, teacher)
    losses = student(**batch, mode='loss')
    rows = [i for i, label in enumerate(labels) if label is not None]
    with torch.no_grad():
        own, their = plain.backbone(both)[3].mean((2, 3)), theirs.backbone(both)[3].mean((2, 3))
        expected = 0.1 * (norm(own) - norm(their)).norm()
        torch.testing.assert_close(losses['loss_distill_backbone3'].double(), expected, rtol=1e-4, atol=1e-6)
        logits, wanted = plain.head.fc(own[rows]).double() / 3, theirs.head.fc(their[rows]).double() / 3
        expected = F.cross_entropy(logits, wanted.softmax(1)) if rows else torch.zeros((), dtype=torch.float64)
        torch.testing.assert_close(losses['loss_distill_logits'].double(), expected, rtol=1e-5, atol=1e-6)
    total(losses).backward()
    assert [name for name, p in student.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('taps', [['backbone.1', 'backbone.3'], ['neck.0']])
def test_a_detector_follows_the_embeddings_of_the_same_instances(taps: list[str]) -> None:
    """Task losses stay the stock's to the last bit; the distance is of RoIAlign written out, in both views."""
    cfg = toy_model()
    stock = build(cfg)
    arguments: dict[str, Any] = dict(taps=taps, projector=dict(type='MLPProjector', out_channels=5, num_layers=1))
    student: Any = build(add_cds(cfg, distill=dict(channels=7, logits_weight=0), **arguments), like=stock)
    arguments['projector'] = dict(type='MLPProjector', out_channels=7, num_layers=1)
    teacher: Any = build(add_cds(cfg, **arguments), seed=9)
    batch = toy_batch(student, 3)
    plain, theirs = deepcopy(student), deepcopy(teacher).eval()
    views = (batch['inputs'], second_view(student, batch, 11))
    attached(student, teacher, seed=11)
    results = []
    for model in (stock, student):
        torch.manual_seed(5)
        results.append(flat(model(**toy_batch(model, 3), mode='loss')))
    expected, found = results
    keys = [tap.replace('.', '') for tap in taps]
    assert set(found) - set(expected) == {f'loss_{kind}_{key}' for kind in ('cds', 'distill') for key in keys}
    for key, value in expected.items():
        assert torch.equal(found[key], value), key

    boxes = boxes_of(batch['data_samples'])
    assert views[1].shape[-1] == views[0].shape[-1] // 2
    for tap, key in zip(taps, keys, strict=True):
        rows = []
        for model in (plain, theirs):
            both = []
            for view, scale in zip(views, (1.0, 0.5), strict=True):
                outputs = model.backbone(view)
                outputs = model.neck(outputs) if tap.startswith('neck') else outputs
                pooled = pooled_boxes(outputs[int(tap[-1])], [each * scale for each in boxes], view.shape[-1])
                both.append(model.neck.cds.projectors[key].layers[0](pooled))
            rows.append(norm(torch.cat(both)))
        assert len(rows[0]) == 2 * 6
        adapter = plain.neck.cds.distill.adapters[key].double()
        distance = 0.1 * (rows[1] - adapter(rows[0])).norm()
        torch.testing.assert_close(found[f'loss_distill_{key}'].double(), distance.detach(), rtol=1e-4, atol=1e-6)


def test_a_batch_without_instances_has_zero_distance_and_gradients() -> None:
    cfg = add_cds(toy_model('retinanet'), distill=dict(channels=7, logits_weight=0))
    student: Any = build(cfg)
    teacher: Any = build(add_cds(toy_model('retinanet'), projector=dict(type='MLPProjector', out_channels=7)), seed=9)
    attached(student, teacher)
    batch = toy_batch(student)
    for sample in batch['data_samples']:
        sample.gt_instances = sample.gt_instances[:0]
    losses = student(**batch, mode='loss')
    assert [losses[f'loss_distill_backbone{i}'].item() for i in range(4)] == [0] * 4
    total(losses).backward()
    assert {name for name, p in student.named_parameters() if p.grad is None} == set()
    assert all(grad.isfinite().all() for grad in gradients(student).values())


def test_mistakes_are_named() -> None:
    teacher: Any = build(add_cds(toy_model('retinanet')), seed=9)
    student: Any = build(add_cds(toy_model('retinanet'), distill={}))
    forward = attached(student, teacher)
    with pytest.raises(
        ValueError, match=r'^distill\.logits_weight: .* no head that gives logits .*set logits_weight=0$'
    ):
        student(**toy_batch(student), mode='loss')
    forward.detach()
    assert hooks_of(student) == 0
    student = build(add_cds(toy_model('retinanet')))
    attached(student, teacher)
    with pytest.raises(ValueError, match=r'the CDSNeck learns nothing from it; add distill=dict\(\) to the CDSNeck$'):
        student(**toy_batch(student), mode='loss')
    student = build(add_cds(toy_model('retinanet'), distill=dict(channels=64, logits_weight=0)))
    attached(student, teacher)
    with pytest.raises(ValueError, match=r'the teacher embeds backbone0 in 128 channels, the student is adapted to 64'):
        student(**toy_batch(student), mode='loss')
