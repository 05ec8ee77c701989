"""A teacher: frozen, its statistics kept, and what it shows in either mode."""

from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from classifiers import build_classifier, classifier_batch, classifier_config
from torch import Tensor, nn
from toys import total

from mmcds import add_cds
from mmcds.models import Samples, Teacher, TwoViewForward, ViewPair
from mmcds.models.necks import find_supervision
from mmcds.models.taps import Tap

LABELS = [0, 1, 0, 2]
MODES = pytest.mark.parametrize('mode', ['eval', 'train'])


def trained(width: int, cds: bool) -> Any:
    """A model whose running statistics are no longer those of a new one."""
    cfg = classifier_config(width)
    model = build_classifier(add_cds(cfg) if cds else cfg, seed=7)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return model


def taps_and_samples(student: Any) -> tuple[list[Tap], Any, Samples, ViewPair]:
    cds: Any = find_supervision(student)
    batch = classifier_batch(student, LABELS)
    _, views = cds.view(batch['inputs'], batch['data_samples'], student.data_preprocessor)
    return cds.taps, cds.sampler, cds.sampler.sample(views), views


def two_views(side: int = 32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    first = torch.randn(len(LABELS), 3, 32, 32, generator=generator)
    return first, torch.randn(len(LABELS), 3, side, side, generator=generator)


@MODES
def test_nothing_of_it_changes_while_the_student_learns(mode: str) -> None:
    student = build_classifier(add_cds(classifier_config(), distill=dict(channels=64)))
    teacher_model = trained(8, cds=True)
    before = {name: value.clone() for name, value in teacher_model.state_dict().items()}
    forward = TwoViewForward(student).attach()
    forward.teacher = Teacher(teacher_model, mode)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9)
    weights = student.backbone.conv1.weight.detach().clone()
    for _ in range(2):
        student.train()
        optimizer.zero_grad()
        total(student(**classifier_batch(student, LABELS), mode='loss')).backward()
        optimizer.step()
    assert not torch.equal(student.backbone.conv1.weight, weights)
    assert {module.training for module in teacher_model.modules()} == {mode == 'train'}
    assert all(not p.requires_grad and p.grad is None for p in teacher_model.parameters())
    after = teacher_model.state_dict()
    assert len(before) > 100
    for name, value in before.items():
        assert torch.equal(after[name], value), name
    assert all(m.track_running_stats for m in teacher_model.modules() if isinstance(m, nn.BatchNorm2d))
    assert not set(map(id, teacher_model.modules())) & set(map(id, student.modules()))


@MODES
@pytest.mark.parametrize('cds', [True, False], ids=['with CDS', 'stock'])
def test_shows_its_embeddings_and_logits(cds: bool, mode: str) -> None:
    """Of both views as one batch, through layers written out; in training mode by the batch's own statistics."""
    student = build_classifier(add_cds(classifier_config()))
    model = trained(8, cds)
    plain = deepcopy(model).train(mode == 'train')
    teacher = Teacher(model, mode)
    first, second = two_views()
    features = teacher.features(first, second, with_neck=False)
    found = teacher.embed(
        features=features, **dict(zip(('taps', 'sampler', 'samples', 'views'), taps_and_samples(student), strict=True))
    )
    logits = teacher.logits(features)
    with torch.no_grad():
        maps = plain.backbone(torch.cat([first, second]))
        for i, each in enumerate(maps):
            x = plain.neck.cds.projectors[f'backbone{i}'].convs(each) if cds else each
            expected = x.flatten(2).mean(2)
            expected = expected / expected.square().sum(1, keepdim=True).sqrt()
            torch.testing.assert_close(found[f'backbone{i}'], expected, rtol=1e-4, atol=1e-6)
        pooled = maps[-1][: len(LABELS)].flatten(2).mean(2)
        torch.testing.assert_close(logits, F.linear(pooled, plain.head.fc.weight, plain.head.fc.bias))


def test_the_modes_differ() -> None:
    first, second = two_views()
    shown = [
        Teacher(trained(8, False), mode).features(first, second, False).first['backbone'][-1]
        for mode in ('eval', 'train')
    ]
    assert (shown[0] - shown[1]).abs().max() > 0.05


@MODES
def test_views_of_two_sizes(mode: str) -> None:
    """As with a second view at half the side: each is a batch of its own."""
    student, model = build_classifier(add_cds(classifier_config())), trained(8, cds=True)
    plain = deepcopy(model).train(mode == 'train')
    first, second = two_views(16)
    teacher = Teacher(model, mode)
    taps, sampler, samples, views = taps_and_samples(student)
    found = teacher.embed(taps, teacher.features(first, second, False), sampler, samples, views)
    with torch.no_grad():
        rows = [
            plain.neck.cds.projectors['backbone1'].convs(plain.backbone(view)[1]).mean((2, 3))
            for view in (first, second)
        ]
    torch.testing.assert_close(found['backbone1'], F.normalize(torch.cat(rows)), rtol=1e-4, atol=1e-6)


def test_mistakes_are_named() -> None:
    model = trained(4, cds=False)
    with pytest.raises(ValueError, match=r"^teacher_mode='evaluate' is not known; .*valid: eval, train"):
        Teacher(model, 'evaluate')
    student = build_classifier(add_cds(classifier_config()))
    _, sampler, samples, views = taps_and_samples(student)
    teacher = Teacher(model)
    features = teacher.features(*two_views(), with_neck=True)
    assert len(features.first['neck']) == 4
    with pytest.raises(
        ValueError, match=r"^neck\.taps='backbone\.5': the backbone of the teacher returned 4 outputs; "
    ):
        teacher.embed([Tap('backbone', 5, 4, 0)], features, sampler, samples, views)
