"""Deep supervision against cross entropies of heads written out, and against the stock model."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from classifiers import WIDTHS, build_classifier, classifier_batch, classifier_config, norms_in_eval
from mmengine.config import Config
from pooling import boxes_of, pooled_boxes
from torch import Tensor
from toys import build, flat, gradients, total, toy_batch, toy_model

from mmcds.models import TwoViewForward

LABELS = [0, 1, 0, 2, 1]
DSN: dict[str, Any] = dict(type='mmcds.DSNNeck', num_classes=3, sampler=dict(type='ImageSampler'))


def with_dsn(cfg: Config, **arguments: Any) -> Config:
    cfg = Config(cfg.to_dict())
    cfg.model.neck = dict(DSN, neck=cfg.model.neck, channels=dict(backbone=WIDTHS), **arguments)
    return cfg


def by_hand(model: Any, features: Tensor, tap: str, labels: list[int | None]) -> Tensor:
    """Pooling, Linear, ReLU, Linear, classifier, cross entropy: float64, with matrices only."""
    cds = model.neck.cds
    first, second = (cds.projectors[tap].layers[i] for i in (0, 2))
    x = features.double().mean((2, 3))
    x = (x @ first.weight.double().T + first.bias.double()).clamp(min=0) @ second.weight.double().T + second.bias
    logits = x @ cds.classifiers[tap].weight.double().T + cds.classifiers[tap].bias
    rows = [i for i, label in enumerate(labels) if label is not None]
    log_prob = logits - logits.exp().sum(1, keepdim=True).log()
    return -torch.stack([log_prob[i, labels[i]] for i in rows]).mean()


@pytest.mark.parametrize('labels', [LABELS, [0, None, 2, None, 1]], ids=['all labelled', 'two unlabelled'])
def test_losses_are_cross_entropies_of_heads_on_the_taps(labels: list[int | None]) -> None:
    model = build_classifier(with_dsn(classifier_config(), loss_weight=[1.0, 0.5, 0.25, 2.0]))
    features = deepcopy(model.backbone)(classifier_batch(model, labels)['inputs'])
    TwoViewForward(model).attach()
    losses = model(**classifier_batch(model, labels), mode='loss')
    assert set(losses) == {'loss', *(f'loss_dsn_backbone{i}' for i in range(4))}
    for i, weight in enumerate((1.0, 0.5, 0.25, 2.0)):
        expected = by_hand(model, features[i], f'backbone{i}', labels) * weight
        torch.testing.assert_close(losses[f'loss_dsn_backbone{i}'].double(), expected, rtol=1e-5, atol=1e-6)
    total(losses).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_without_any_label_the_losses_are_zero() -> None:
    model = build_classifier(with_dsn(classifier_config()))
    TwoViewForward(model).attach()
    losses = model(**classifier_batch(model, [None, None]), mode='loss')
    assert all(loss == 0 for loss in losses.values())
    total(losses).backward()
    assert all((grad == 0).all() for grad in gradients(model).values())
    assert len(gradients(model)) == len(list(model.parameters()))


def test_the_task_and_its_cost_are_the_stock_s() -> None:
    """One view: as many images pass the backbone, and task loss and running statistics are equal to the last bit."""
    stock = build_classifier(classifier_config())
    dsn = build_classifier(with_dsn(classifier_config()), like=stock)
    TwoViewForward(dsn).attach()
    seen: list[int] = []
    dsn.backbone.register_forward_pre_hook(lambda _module, args: seen.append(len(args[0])))
    expected = stock(**classifier_batch(stock, LABELS), mode='loss')
    found = dsn(**classifier_batch(dsn, LABELS), mode='loss')
    assert seen == [len(LABELS)]
    assert torch.equal(found['loss'], expected['loss'])
    now = dict(dsn.named_buffers())
    assert all(torch.equal(now[name], value) for name, value in stock.named_buffers())


def test_without_weight_every_parameter_gets_a_gradient_of_zero() -> None:
    model = build_classifier(with_dsn(classifier_config()))
    TwoViewForward(model).attach()
    model.neck.cds.weight = 0.0
    losses = model(**classifier_batch(model, LABELS), mode='loss')
    assert {key: loss.item() for key, loss in losses.items() if key != 'loss'} == {
        f'loss_dsn_backbone{i}': 0 for i in range(4)
    }
    total(losses).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert ('neck.cds' in name) == bool((parameter.grad == 0).all()), name


def test_the_schedule_s_weight_is_a_factor() -> None:
    model = build_classifier(with_dsn(classifier_config()))
    norms_in_eval(model)
    TwoViewForward(model).attach()
    whole = model(**classifier_batch(model, LABELS), mode='loss')
    model.neck.cds.weight = 0.25
    quarter = model(**classifier_batch(model, LABELS), mode='loss')
    for key, value in whole.items():
        torch.testing.assert_close(quarter[key], value * (1 if key == 'loss' else 0.25))


def test_a_detector_classifies_its_instances() -> None:
    """With RoIAlign written out; the task's losses are the stock's to the last bit."""
    cfg = toy_model()
    stock = build(cfg)
    dsn_cfg = Config(cfg.to_dict())
    dsn_cfg.model.neck = dict(type='mmcds.DSNNeck', neck=cfg.model.neck, num_classes=4, taps=['backbone.2', 'neck.0'])
    dsn: Any = build(dsn_cfg, like=stock)
    TwoViewForward(dsn).attach().begin_step(seed=3)
    batch = toy_batch(dsn, 3)
    outputs = deepcopy(stock.backbone)(batch['inputs'])
    features = {'backbone2': outputs[2], 'neck0': stock.neck(outputs)[0]}
    results = []
    for model in (stock, dsn):
        torch.manual_seed(5)
        results.append(flat(model(**toy_batch(model, 3), mode='loss')))
    expected, found = results
    assert set(found) - set(expected) == {'loss_dsn_backbone2', 'loss_dsn_neck0'}
    for key, value in expected.items():
        assert torch.equal(found[key], value), key
    labels = torch.cat([sample.gt_instances.labels for sample in batch['data_samples']])
    assert len(labels) == 6
    for tap, feature in features.items():
        pooled = pooled_boxes(feature, boxes_of(batch['data_samples']), batch['inputs'].shape[-1])
        loss = by_hand(dsn, pooled[:, :, None, None], tap, labels.tolist())
        torch.testing.assert_close(found[f'loss_dsn_{tap}'].double(), loss, rtol=1e-5, atol=1e-6)


def test_a_label_without_a_classifier_is_named() -> None:
    model = build_classifier(with_dsn(classifier_config()))
    model.neck.cds.num_classes = 2
    TwoViewForward(model).attach()
    with pytest.raises(ValueError, match=r'^neck\.num_classes=2, but a sample has the label 2; set it to the classes'):
        model(**classifier_batch(model, LABELS), mode='loss')


def test_a_model_of_16_bits() -> None:
    model = build_classifier(with_dsn(classifier_config())).to(torch.bfloat16)
    TwoViewForward(model).attach()
    batch = classifier_batch(model, LABELS)
    losses = model(inputs=batch['inputs'].to(torch.bfloat16), data_samples=batch['data_samples'], mode='loss')
    assert {value.dtype for key, value in losses.items() if key.startswith('loss_dsn')} == {torch.float32}
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in model.neck.cds.parameters())


def test_the_loss_is_in_float32_under_autocast() -> None:
    model = build_classifier(with_dsn(classifier_config()))
    TwoViewForward(model).attach()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(**classifier_batch(model, LABELS), mode='loss')
    assert {loss.dtype for key, loss in losses.items() if key != 'loss'} == {torch.float32}
    assert all(loss.isfinite() for loss in losses.values())
