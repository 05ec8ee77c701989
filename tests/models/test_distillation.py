"""The distillation terms against the paper's formulas in float64."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmcds.models.losses import DistillationLoss, distance_loss, soft_cross_entropy


def matrix(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize(('rows', 'columns'), [(1, 1), (6, 4), (3, 9)])
def test_the_distance_is_the_unsquared_norm_of_the_whole_matrix(rows: int, columns: int) -> None:
    student, teacher = matrix(rows, columns, 0).requires_grad_(), matrix(rows, columns, 1).requires_grad_()
    loss = distance_loss(student, teacher)
    expected = np.sqrt(((teacher.detach().numpy() - student.detach().numpy()) ** 2).sum())
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    loss.backward()
    assert teacher.grad is None
    assert torch.autograd.gradcheck(lambda x: distance_loss(x, teacher), (student,))


def test_the_distance_at_zero_and_of_nothing_is_zero_with_a_gradient() -> None:
    """The derivative of a norm at 0 is not defined: NaN there would end a training."""
    for student in (matrix(3, 4, 0), matrix(0, 4, 0)):
        student.requires_grad_()
        loss = distance_loss(student, student.detach().clone())
        loss.backward()
        assert loss == 0
        assert student.grad is not None
        assert torch.equal(student.grad, torch.zeros_like(student))


@pytest.mark.parametrize('temperature', [1.0, 3.0])
def test_the_soft_cross_entropy_has_no_square_of_the_temperature(temperature: float) -> None:
    student, teacher = (matrix(5, 4, seed) * 3 for seed in (2, 3))
    student, teacher = student.requires_grad_(), teacher.requires_grad_()
    loss = soft_cross_entropy(student, teacher, temperature)
    targets = softmax(teacher.detach().numpy() / temperature)
    log_prob = np.log(softmax(student.detach().numpy() / temperature))
    assert loss.item() == pytest.approx(-(targets * log_prob).sum(1).mean(), rel=1e-12)
    loss.backward()
    assert teacher.grad is None
    assert torch.autograd.gradcheck(lambda x: soft_cross_entropy(x, teacher, temperature), (student,))
    # Its minimum is where both agree, as of every cross entropy.
    best = soft_cross_entropy(teacher.detach(), teacher, temperature)
    assert best < loss


def test_the_soft_cross_entropy_of_no_image_is_zero() -> None:
    student = torch.zeros(0, 4, requires_grad=True)
    loss = soft_cross_entropy(student, torch.zeros(0, 4))
    loss.backward()
    assert loss == 0
    assert student.grad is not None


def test_layers_adapt_where_widths_differ_and_only_there() -> None:
    torch.manual_seed(0)
    module = DistillationLoss(dict(a=3, b=5), channels=[3, 7], distance_weight=0.5).double()
    assert {key: (layer.in_features, layer.out_features) for key, layer in module.adapters.items()} == {'b': (5, 7)}
    student, teacher = dict(a=matrix(4, 3, 0), b=matrix(4, 5, 1)), dict(a=matrix(4, 3, 2), b=matrix(4, 7, 3))
    losses = module.embedding_losses(student, teacher)
    layer: Any = module.adapters['b']
    adapted = student['b'].numpy() @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    assert list(losses) == ['loss_distill_a', 'loss_distill_b']
    for key, own in (('a', student['a'].numpy()), ('b', adapted)):
        assert losses[f'loss_distill_{key}'].item() == pytest.approx(0.5 * np.linalg.norm(teacher[key].numpy() - own))
    assert list(DistillationLoss(dict(a=3, b=5), channels=7).adapters) == ['a', 'b']
    assert list(DistillationLoss(dict(a=3, b=5)).adapters) == []


def test_logits_are_weighted_and_compared_in_float32() -> None:
    module = DistillationLoss(dict(a=3), logits_weight=0.25, temperature=2.0)
    student, teacher = matrix(4, 3, 0).half(), matrix(4, 3, 1).half()
    loss = module.logit_losses(student, teacher)['loss_distill_logits']
    expected = F.cross_entropy(student.double() / 2, (teacher.double() / 2).softmax(1)) / 4
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ('arguments', 'names'),
    [
        ({}, ['loss_distill_a', 'loss_distill_b', 'loss_distill_logits']),
        (dict(logits_weight=0), ['loss_distill_a', 'loss_distill_b']),
        (dict(distance_weight=0), ['loss_distill_logits']),
    ],
)
def test_what_has_no_weight_has_no_loss(arguments: dict[str, Any], names: list[str]) -> None:
    module = DistillationLoss(dict(a=3, b=3), **arguments)
    assert list(module.names()) == names
    embeddings = dict(a=matrix(2, 3, 0), b=matrix(2, 3, 1))
    assert list(module.embedding_losses(embeddings, embeddings)) == [name for name in names if 'logits' not in name]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(temperature=0), r'^distill\.temperature=0 is out of range; give a number in \(0, inf\)$'),
        (dict(distance_weight=-1), r'^distill\.distance_weight=-1 is out of range'),
        (dict(logits_weight='a'), r"^distill\.logits_weight='a' is out of range"),
        (dict(channels=0), r'^distill\.channels=0 is out of range; give a whole number, 1 or more$'),
        (dict(channels=[4, 4, 4]), r"^distill\.channels=\[4, 4, 4\] has 3 numbers for the taps \['a', 'b'\]$"),
    ],
)
def test_mistakes_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DistillationLoss(dict(a=3, b=5), **arguments)


def test_a_teacher_of_another_width_is_named_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r'the teacher embeds a in 7 channels, .* set distill\.channels=7 for this'):
        DistillationLoss(dict(a=3)).embedding_losses(dict(a=matrix(2, 3, 0)), dict(a=matrix(2, 7, 0)))
