"""Images without labels: the task does not see them, the contrast does."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from classifiers import build_classifier, classifier_batch, classifier_config, norms_in_eval
from mmengine.structures import PixelData
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from toys import ToyDetector, build, flat, gradients, released_form, run_ranks, total, toy_batch, toy_inputs, toy_model

from mmcds import add_cds
from mmcds.models import TwoViewForward
from mmcds.models import forward as forward_module
from mmcds.models.data_samples.sample_list import labelled_rows, with_dummy_label, without_labels

LABELS: list[int | None] = [0, None, 2, None, None, 1]
KEPT = [0, 2, 5]
#: Of a detector, whose grid points need no annotation.
DENSE: dict[str, Any] = dict(sampler=dict(type='DenseSampler', grid_size=3))


def attached(model: Any, seed: int = 5) -> TwoViewForward:
    forward = TwoViewForward(model).attach()
    forward.begin_step(seed=seed)
    return forward


def passed_through(module: nn.Module) -> list[int]:
    """Fills with the number of images in each call of the module."""
    seen: list[int] = []
    module.register_forward_pre_hook(
        lambda _module, args: seen.append(len(args[0][0] if isinstance(args[0], tuple) else args[0]))
    )
    return seen


def unlabel(batch: dict[str, Any], places: list[int]) -> dict[str, Any]:
    for i in places:
        without_labels(batch['data_samples'][i])
    return batch


# --- classification ----------------------------------------------------------------------------


@pytest.mark.parametrize('concat', [False, True])
def test_a_classifier_s_task_is_that_of_the_labelled_images_alone(concat: bool) -> None:
    stock = build_classifier(classifier_config())
    cds = build_classifier(add_cds(classifier_config(), concat=concat), like=stock)
    for model in (stock, cds):
        norms_in_eval(model)
    attached(cds)
    backbone, neck, head = (passed_through(each) for each in (cds.backbone, cds.neck, cds.head))
    batch = classifier_batch(cds, LABELS)
    alone = dict(inputs=batch['inputs'][KEPT], data_samples=[batch['data_samples'][i] for i in KEPT])
    expected = stock(**deepcopy(alone), mode='loss')['loss']
    found = cds(**batch, mode='loss')
    torch.testing.assert_close(found['loss'], expected, rtol=1e-6, atol=1e-7)
    assert (backbone, neck, head) == ([12 if concat else 6], [3], [3])
    expected.backward()
    found['loss'].backward()
    wanted = gradients(stock)
    for name, gradient in gradients(cds).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-6)


def test_unlabelled_images_are_positives_of_themselves_only() -> None:
    """The contrast of all six images, by the released code's form with a class of its own for each unlabelled one."""
    cds = build_classifier(add_cds(classifier_config()))
    plain = deepcopy(cds)
    attached(cds)
    batch = classifier_batch(cds, LABELS)
    torch.manual_seed(5)
    second, _ = plain.neck.cds.view(batch['inputs'], batch['data_samples'], plain.data_preprocessor)
    losses = cds(**batch, mode='loss')
    classes = torch.tensor([0, 10, 2, 11, 12, 1])
    maps = plain.backbone(torch.cat([batch['inputs'], second]))
    for i, each in enumerate(maps):
        z = F.normalize(plain.neck.cds.projectors[f'backbone{i}'](each), dim=1)
        expected = released_form(torch.stack(z.chunk(2), 1), classes) * 0.1
        torch.testing.assert_close(losses[f'loss_cds_backbone{i}'], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('weight', [1.0, 0.0])
def test_a_batch_without_any_labelled_image(weight: float) -> None:
    """No loss of the task and no gradient by it, the contrast alone; ranks still all do the same."""
    model = build_classifier(add_cds(classifier_config()))
    attached(model)
    model.neck.cds.weight = weight
    losses = model(**classifier_batch(model, [None] * 4), mode='loss')
    assert losses['loss'] == 0
    assert 'accuracy' not in losses
    contrast = [losses[f'loss_cds_backbone{i}'] for i in range(4)]
    assert all((loss > 0.01) == bool(weight) for loss in contrast)
    total(losses).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert (model.head.fc.weight.grad == 0).all()
    assert bool(model.backbone.conv1.weight.grad.abs().sum() > 0) == bool(weight)
    assert all(grad.isfinite().all() for grad in gradients(model).values())


def test_a_loss_that_does_not_count_may_be_infinite() -> None:
    """No image is labelled: whatever the heads make of the one that stands in is 0, and its gradient, too."""
    model = build_classifier(add_cds(classifier_config()))
    loss_of = model.head.loss_module.forward
    model.head.loss_module.forward = lambda *args, **kwargs: loss_of(*args, **kwargs) + torch.inf
    attached(model)
    losses = model(**classifier_batch(model, [None] * 4), mode='loss')
    assert losses['loss'] == 0
    total(losses).backward()
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())
    assert (model.head.fc.weight.grad == 0).all()


def test_without_weight_unlabelled_images_pass_nothing() -> None:
    stock = build_classifier(classifier_config())
    cds = build_classifier(add_cds(classifier_config()), like=stock)
    attached(cds)
    cds.neck.cds.weight = 0.0
    seen = passed_through(cds.backbone)
    batch = classifier_batch(cds, LABELS)
    alone = dict(inputs=batch['inputs'][KEPT], data_samples=[batch['data_samples'][i] for i in KEPT])
    found = cds(**batch, mode='loss')
    assert seen == [3]
    # Running statistics included: they are of the labelled images.
    assert torch.equal(found['loss'], stock(**alone, mode='loss')['loss'])
    now = dict(cds.named_buffers())
    assert all(torch.equal(now[name], value) for name, value in stock.named_buffers())


def test_soft_labels_pass_the_preprocessor() -> None:
    """As with MixUp and CutMix, for which it makes one-hot vectors of all images."""
    cfg = add_cds(classifier_config())
    cfg.model.data_preprocessor.to_onehot = True
    cfg.model.head.loss = dict(type='CrossEntropyLoss', use_soft=True)
    model = build_classifier(cfg)
    attached(model)
    batch = classifier_batch(model, LABELS)
    assert [sample.gt_score.sum().item() for sample in batch['data_samples']] == [1, 0, 1, 0, 0, 1]
    norms_in_eval(model)
    plain = deepcopy(model)
    logits = plain.head.fc(plain.backbone(batch['inputs'])[3].mean((2, 3)))
    expected = F.cross_entropy(logits[KEPT], torch.tensor([0, 2, 1]))
    torch.testing.assert_close(model(**batch, mode='loss')['loss'], expected)


# --- detection ---------------------------------------------------------------------------------


@pytest.mark.parametrize('taps', [['backbone.1', 'backbone.3'], ['neck.0', 'backbone.2']], ids=['backbone', 'neck'])
@pytest.mark.parametrize('name', ['faster_rcnn', 'retinanet'])
def test_a_detector_s_task_is_that_of_the_labelled_images_alone(name: str, taps: list[str]) -> None:
    cfg = toy_model(name)
    stock = build(cfg)
    cds: Any = build(add_cds(cfg, taps=taps, **DENSE), like=stock)
    for model in (stock, cds):
        norms_in_eval(model)
    attached(cds)
    batch = unlabel(toy_batch(cds, 4), [1, 2])
    alone = dict(inputs=batch['inputs'][[0, 3]], data_samples=[batch['data_samples'][i] for i in (0, 3)])
    backbone, neck = passed_through(cds.backbone), passed_through(cds.neck)
    results = []
    for model, data in ((stock, alone), (cds, batch)):
        torch.manual_seed(3)
        results.append(flat(model(**deepcopy(data), mode='loss')))
    expected, found = results
    assert (backbone, neck) == ([4], [2])
    keys = {tap.replace('.', '') for tap in taps}
    assert set(found) - set(expected) == {f'loss_cds_{key}' for key in keys}
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-6, msg=key)
    # And the contrast is that of a batch all of whose images are labelled: grid points know no labels.
    whole: Any = build(add_cds(cfg, taps=taps, **DENSE), like=cds)
    norms_in_eval(whole)
    attached(whole)
    everything = flat(whole(**toy_batch(whole, 4), mode='loss'))
    for key in keys:
        assert found[f'loss_cds_{key}'] > 0.01
        torch.testing.assert_close(found[f'loss_cds_{key}'], everything[f'loss_cds_{key}'], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('name', ['faster_rcnn', 'retinanet'])
def test_a_detector_s_batch_without_any_labelled_image(name: str) -> None:
    model: Any = build(add_cds(toy_model(name), taps=['backbone.3', 'neck.1'], **DENSE))
    attached(model)
    losses = model(**unlabel(toy_batch(model), [0, 1]), mode='loss')
    contrast = {'loss_cds_backbone3', 'loss_cds_neck1'}
    for key, value in flat(losses).items():
        assert value.isfinite().all()
        assert bool((value == 0).all()) == (key not in contrast), key
    total(losses).backward()
    assert [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert model.backbone.conv1.weight.grad.abs().sum() > 0
    head = model.rpn_head if name == 'faster_rcnn' else model.bbox_head
    assert all((p.grad == 0).all() for p in head.parameters())


# --- data samples ------------------------------------------------------------------------------


def test_rows() -> None:
    _, samples = toy_inputs([1, 2, 0])
    assert labelled_rows(samples) is None
    assert labelled_rows(None) is None
    assert labelled_rows([object()]) is None
    without_labels(samples[1])
    assert labelled_rows(samples) == [0, 2]
    without_labels(samples[0])
    without_labels(samples[2])
    assert labelled_rows(samples) == []


def test_nothing_of_the_annotations_is_left() -> None:
    from mmdet.structures import DetDataSample
    from mmpretrain.structures import DataSample

    _, (sample,) = toy_inputs([3])
    found = DetDataSample(gt_instances=sample.gt_instances, ignored_instances=sample.gt_instances)
    found.gt_sem_seg = PixelData(sem_seg=torch.arange(12).reshape(1, 3, 4))
    without_labels(found)
    assert (len(found.gt_instances), len(found.ignored_instances)) == (0, 0)
    assert found.gt_instances.bboxes.shape == (0, 4)
    assert found.gt_sem_seg.sem_seg.unique().tolist() == [255]
    assert found.metainfo['labelled'] is False

    image = DataSample().set_gt_label(2).set_gt_score(torch.tensor([0.0, 0.0, 1.0]))
    without_labels(image)
    assert image.gt_label.numel() == 0
    assert image.gt_score.tolist() == [0, 0, 0]
    dummy = with_dummy_label(image)
    assert dummy.gt_label.tolist() == [0]
    assert image.gt_label.numel() == 0


# --- norms that wait for each other ------------------------------------------------------------


class MeanOverRanks(torch.autograd.Function):
    """All ranks wait for each other in the forward pass and in the backward pass."""

    @staticmethod
    def forward(ctx: Any, mean: Tensor) -> Tensor:
        return mean_over_ranks(mean)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return mean_over_ranks(grad_outputs[0])


def mean_over_ranks(x: Tensor) -> Tensor:
    found = x.clone()
    dist.all_reduce(found)
    return found / dist.get_world_size()


class NaiveSyncBatchNorm(nn.BatchNorm2d):
    """What SyncBN is to the other ranks, as packages make their own; torch's refuses a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        mean: Any = x.mean((0, 2, 3))
        return x - (MeanOverRanks.apply(mean) if dist.is_initialized() else mean)[:, None, None]


class NeckWithNorm(nn.Module):
    """Passes on what it gets, the last map through a norm; counts its passes."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.norm = norm(6, affine=False)
        self.passes = 0

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.passes += 1
        return (*features[:-1], self.norm(features[-1]))


def with_norm(norm: type[nn.Module]) -> tuple[Any, TwoViewForward]:
    """A detector with such a neck and a tap behind it."""
    torch.manual_seed(0)
    cds: dict[str, Any] = dict(taps=['neck.1', 'backbone.0'], channels=dict(backbone=[4, 6], neck=[4, 6]), **DENSE)
    model: Any = ToyDetector(neck=dict(type=NeckWithNorm, norm=norm), **cds).double().train()
    return model, attached(model)


def passes(model: Any, unlabelled: list[int]) -> int:
    """How often a batch of two images passes the neck."""
    images, samples = toy_inputs([2, 1])
    for i in unlabelled:
        without_labels(samples[i])
    before = model.neck.passes
    model(images, samples, mode='loss')
    return int(model.neck.passes - before)


@pytest.mark.parametrize(
    ('norm', 'ranks', 'in_projector', 'expected'),
    [
        (NaiveSyncBatchNorm, 2, False, 3),
        (NaiveSyncBatchNorm, 1, False, 2),
        (nn.BatchNorm2d, 2, False, 2),
        (nn.BatchNorm2d, 2, True, 2),
    ],
)
def test_all_batches_pass_as_often_where_norms_wait_for_each_other(
    norm: type[nn.Module], ranks: int, in_projector: bool, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A labelled batch passes the neck once more where another rank may have to, and nowhere else."""
    monkeypatch.setattr(forward_module, 'get_world_size', lambda: ranks)
    model, forward = with_norm(norm)
    if in_projector:
        model.neck.cds.add_module('norm', nn.SyncBatchNorm(4))
    assert passes(model, []) == 2
    forward.has_unlabelled = True
    # The task's pass and one per view.
    assert (passes(model, []), passes(model, [1]), passes(model, [0, 1])) == (expected, 3, 3)
    model.neck.cds.weight = 0.0
    assert (passes(model, []), passes(model, [1])) == (1, 1)


def test_unlabelled_images_that_the_ranks_were_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = with_norm(NaiveSyncBatchNorm)
    assert passes(model, [1]) == 3
    monkeypatch.setattr(forward_module, 'get_world_size', lambda: 2)
    with pytest.raises(
        ValueError,
        match=r"^a data sample says labelled=False, .*SyncBN .*has_unlabelled=True.*neck\.taps=\['neck\.1'\]",
    ) as error:
        passes(model, [1])
    assert '\n' not in str(error.value)
    assert passes(model, []) == 2


# --- two processes -----------------------------------------------------------------------------


def train_with_waiting_norm(rank: int) -> dict[str, Any]:
    """The first rank's images are labelled; one of the second's is not, then none is."""
    model, forward = with_norm(NaiveSyncBatchNorm)
    forward.has_unlabelled = True
    wrapped: Any = DistributedDataParallel(model)
    for unlabelled in ([], [0], [0, 1]):
        images, samples = toy_inputs([2, 1], seed=rank)
        for i in unlabelled if rank == 1 else []:
            without_labels(samples[i])
        model.zero_grad()
        total(wrapped(images, samples, mode='loss')).backward()
    return dict(passes=model.neck.passes, gradients=gradients(model))


def train_on_a_rank(rank: int, world: int) -> dict[str, Any]:
    """The second rank has no labelled image."""
    torch.manual_seed(0)
    model: Any = ToyDetector(**DENSE).double().train()
    TwoViewForward(model).attach().begin_step(seed=2)
    wrapped: Any = DistributedDataParallel(model)
    images, samples = toy_inputs([2, 1], seed=rank)
    if rank == 1:
        for sample in samples:
            without_labels(sample)
    losses = []
    for _ in range(2):
        model.zero_grad()
        found = wrapped(images, samples, mode='loss')
        total(found).backward()
        losses.append({key: value.item() for key, value in found.items()})
    return dict(losses=losses, gradients=gradients(model), waiting=train_with_waiting_norm(rank))


def test_a_rank_without_labelled_images_waits_for_no_one(tmp_path: Path) -> None:
    ranks = run_ranks(2, train_on_a_rank, tmp_path)
    assert [rank['losses'][1]['loss_task'] > 0 for rank in ranks] == [True, False]
    assert all(rank['losses'][1]['loss_cds_backbone0'] > 0.01 for rank in ranks)
    first, second = (rank['gradients'] for rank in ranks)
    assert list(first) == list(second)
    for name, gradient in first.items():
        torch.testing.assert_close(gradient, second[name])
    # The task's gradient is half of the first rank's: the other one's counts nothing.
    torch.manual_seed(0)
    alone: Any = ToyDetector(**DENSE).double().train()
    images, samples = toy_inputs([2, 1], seed=0)
    alone(images, samples, mode='loss')['loss_task'].backward()
    expected: Tensor = alone.head.weight.grad / 2
    torch.testing.assert_close(first['head.weight'], expected)
    # With norms that wait for each other, too.
    assert [rank['waiting']['passes'] for rank in ranks] == [9, 9]
    one, other = (rank['waiting']['gradients'] for rank in ranks)
    assert list(one) == list(other)
    for name, gradient in one.items():
        torch.testing.assert_close(gradient, other[name])


def test_a_model_with_a_teacher_of_its_own_is_refused() -> None:
    """LD's and LAD's teachers look at all images, so their outputs would not be those of the labelled ones."""
    model = ToyDetector().double()
    model.teacher_model = torch.nn.Identity()
    two_views = TwoViewForward(model.train()).attach()
    two_views.begin_step(1.0, 0)
    images, samples = toy_inputs([2, 1])
    samples[1].set_metainfo({'labelled': False})
    with pytest.raises(ValueError, match=r'^ToyDetector has a teacher of its own, which looks at all images'):
        model(images, samples, mode='loss')
