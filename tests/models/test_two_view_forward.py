"""A training step with CDS against the stock model's step, and ranks against one process."""

from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from toys import (
    ToyDetector,
    build,
    flat,
    gradients,
    hooks_of,
    run_ranks,
    total,
    toy_batch,
    toy_inputs,
    toy_model,
    toy_sample,
)

from mmcds import add_cds
from mmcds.models import TwoViewForward
from mmcds.utils.tree import as_outputs, connected_zero, split_outputs

IMAGES: dict[str, Any] = dict(sampler=dict(type='ImageSampler'))
CONCAT: dict[str, Any] = dict(concat=True, view=dict(type='PhotometricView'))
BOTH = pytest.mark.parametrize('name', ['faster_rcnn', 'retinanet'])


def toy(**arguments: Any) -> Any:
    torch.manual_seed(0)
    return ToyDetector(**arguments).double().train()


def step(model: Any, counts: tuple[int, ...] = (2, 1)) -> dict[str, Tensor]:
    images, samples = toy_inputs(counts)
    return model(images, samples, mode='loss')


def statistics(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.named_buffers() if 'running' in name or 'num_batches' in name}


@BOTH
def test_the_task_does_not_notice_a_second_pass(name: str) -> None:
    """Losses, running statistics and random numbers left over, bit for bit; augmentation and samplers do draw."""
    cfg = toy_model(name)
    stock = build(cfg)
    cds = build(add_cds(cfg, sampler=dict(type='InstanceSampler', background=3)), like=stock)
    forward = TwoViewForward(cds).attach()
    forward.begin_step(seed=11)
    for _ in range(2):
        results = []
        for model in (stock, cds):
            torch.manual_seed(5)
            losses = model(**toy_batch(model, 3), mode='loss')
            results.append((flat(losses), torch.get_rng_state()))
        (expected, state), (found, cds_state) = results
        added = set(found) - set(expected)
        assert added == {f'loss_cds_backbone{i}' for i in range(4)}
        assert all(found[key] > 0 for key in added)
        for key, value in expected.items():
            assert torch.equal(found[key], value), key
        assert torch.equal(state, cds_state)
        now = statistics(cds)
        assert len(statistics(stock)) > 40
        for key, value in statistics(stock).items():
            assert torch.equal(now[key], value), key


def test_dropout_of_the_second_pass_draws_from_the_seed() -> None:
    model, plain = toy(), toy()
    for each in (model, plain):
        each.backbone.stages[0].append(nn.Dropout(0.5))
    forward = TwoViewForward(model).attach()
    found = []
    for seed in (3, 3, 4):
        forward.begin_step(seed=seed)
        torch.manual_seed(8)
        losses = step(model)
        found.append(losses['loss_cds_backbone0'].item())
        state = torch.get_rng_state()
        torch.manual_seed(8)
        assert torch.equal(losses['loss_task'], step(plain)['loss_task'])
        assert torch.equal(torch.get_rng_state(), state)
    assert found[0] == found[1] != found[2]


class Drawing(nn.Module):
    """Stands in for a view or a sampler and notes the random numbers that it gets."""

    def __init__(self, inner: Any, seen: list[Tensor]) -> None:
        super().__init__()
        self.inner, self.seen = inner, seen

    def forward(self, *args: Any) -> Any:
        self.seen.append(torch.rand(4))
        return self.inner(*args)

    def sample(self, views: Any) -> Any:
        self.seen.append(torch.rand(4))
        return self.inner.sample(views)

    def crop(self, *args: Any) -> Tensor:
        return self.inner.crop(*args)


def test_view_second_pass_and_sampler_never_draw_the_same_numbers() -> None:
    """One generator per step, advanced by each of them; the same seed repeats the step, whatever came before."""
    model = toy()
    seen: list[Tensor] = []
    model.neck.cds.view = Drawing(model.neck.cds.view, seen)
    model.neck.cds.sampler = Drawing(model.neck.cds.sampler, seen)
    model.backbone.stages[0].register_forward_hook(lambda *_: seen.append(torch.rand(4)))
    forward = TwoViewForward(model).attach()
    steps = []
    for seed in (7, 8, 7):
        forward.begin_step(seed=seed)
        seen.clear()
        step(model)
        # View, the task's own pass, the second pass, sampler.
        assert len(seen) == 4
        steps.append([each.tolist() for each in (seen[0], *seen[2:])])
    assert steps[0] == steps[2]
    numbers = [tuple(each) for found in steps[:2] for each in found]
    assert len(set(numbers)) == 6
    torch.manual_seed(7)
    assert steps[0] == [torch.rand(4).tolist() for _ in range(3)]


class StarForward(ToyDetector):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return super().forward(*args, **kwargs)


def timed(function: Any) -> Any:
    def inner(self: Any, *args: Any, **kwargs: Any) -> Any:  # a decorator without functools.wraps
        return function(self, *args, **kwargs)

    return inner


class Decorated(ToyDetector):
    @timed
    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        return super().forward(inputs, data_samples, mode)


class HalfStar(ToyDetector):
    def forward(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        return super().forward(inputs, *args, **kwargs)


class OwnNames(ToyDetector):
    def forward(self, batch: Tensor, targets: Any = None, mode: str = 'tensor') -> Any:
        return super().forward(batch, targets, mode)


@pytest.mark.parametrize('kind', [ToyDetector, StarForward, Decorated, HalfStar, OwnNames])
def test_the_mode_is_found_wherever_it_is_given(kind: type[ToyDetector]) -> None:
    torch.manual_seed(0)
    model: Any = kind().double().train()
    forward = TwoViewForward(model).attach()
    forward.begin_step(seed=1)
    images, samples = toy_inputs((2, 1))
    names = ('batch', 'targets') if kind is OwnNames else ('inputs', 'data_samples')
    calls = [
        lambda: model(images, samples, mode='loss'),
        lambda: model(images, samples, 'loss'),
        lambda: model(**dict(zip(names, (images, samples), strict=True)), mode='loss'),
        lambda: model(images, **{names[1]: samples}, mode='loss'),
    ]
    found = []
    for call in calls:
        forward.begin_step(seed=1)
        found.append(call())
    assert forward.steps == len(calls)
    for losses in found:
        assert set(losses) == {'loss_task', 'loss_cds_backbone0', 'loss_cds_backbone1'}
        assert all(torch.equal(losses[key], found[0][key]) for key in losses)
    assert isinstance(model(images, samples), Tensor)
    assert forward.steps == len(calls)


def test_taps_of_frozen_stages_are_left_out_unless_they_are_named() -> None:
    def frozen_toy(**cds: Any) -> Any:
        model = toy(**cds)
        model.backbone.stages[0].requires_grad_(False)
        return model

    model = frozen_toy()
    forward = TwoViewForward(model).attach()
    losses = step(model)
    assert set(losses) == {'loss_task', 'loss_cds_backbone1'}
    taps, _, names = forward.supervision.summary(forward.strides)
    assert taps == 'CDS supervises backbone.1 (6 channels, stride 4).'
    assert names.startswith('The losses are loss_cds_backbone1. ')
    total(losses).backward()
    # DDP finds every parameter used, those of the projector that is left out, too.
    unused = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert unused == []
    assert (model.neck.cds.projectors['backbone0'].layers[0].weight.grad == 0).all()
    # A stage that thaws is supervised from then on.
    model.backbone.stages[0].requires_grad_(True)
    assert set(step(model)) == {'loss_task', 'loss_cds_backbone0', 'loss_cds_backbone1'}
    model.neck.cds.weight = 0.0
    assert set(step(model)) == {'loss_task', 'loss_cds_backbone0', 'loss_cds_backbone1'}
    forward.detach()

    named = frozen_toy(taps=['backbone.0', 'backbone.1'])
    TwoViewForward(named).attach()
    assert set(step(named)) == {'loss_task', 'loss_cds_backbone0', 'loss_cds_backbone1'}

    # A backbone that is frozen for a while, as in fine-tuning, has nothing to learn meanwhile.
    nothing = toy()
    nothing.backbone.requires_grad_(False)
    TwoViewForward(nothing).attach()
    losses = step(nothing)
    assert losses['loss_cds_backbone0'] == losses['loss_cds_backbone1'] == 0
    total(losses).backward()
    assert [name for name, p in nothing.named_parameters() if p.requires_grad and p.grad is None] == []
    nothing.backbone.requires_grad_(True)
    assert step(nothing)['loss_cds_backbone0'] > 0


class Nested(ToyDetector):
    """Looks at its own output in another mode in the course of a training step, as semi-supervised models do."""

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        if mode == 'loss':
            with torch.no_grad():
                self(inputs * 2, mode='tensor')
        return super().forward(inputs, data_samples, mode)


def test_a_step_that_calls_its_own_model_keeps_the_contrast() -> None:
    models = []
    for kind in (ToyDetector, Nested):
        torch.manual_seed(0)
        models.append(kind().double().train())
    found = []
    for model in models:
        TwoViewForward(model).attach().begin_step(seed=3)
        found.append(step(model))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
    assert found[1]['loss_cds_backbone0'] > 0


def test_two_calls_in_an_iteration_draw_different_views() -> None:
    model = toy(view=dict(type='PhotometricView'))
    forward = TwoViewForward(model).attach()
    found = []
    for seed in (3, 3):
        forward.begin_step(seed=seed)
        found.append([step(model)['loss_cds_backbone0'].item() for _ in range(2)])
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]


def test_the_seed_decides_the_second_view() -> None:
    model = build(add_cds(toy_model(), view=dict(type='PhotometricView')))
    forward = TwoViewForward(model).attach()
    found = []
    for seed in (3, 3, 4, None, None):
        forward.begin_step(seed=seed)
        torch.manual_seed(9)
        found.append(flat(model(**toy_batch(model), mode='loss'))['loss_cds_backbone0'].item())
    assert found[0] == found[1] != found[2]
    assert found[3] == found[4] != found[0]


def test_concatenated_views_are_one_batch_of_the_stock_backbone() -> None:
    """Features, task losses and running statistics of one stock pass over both views."""
    cfg = toy_model('retinanet')
    stock = build(cfg)
    cds: Any = build(add_cds(cfg, **CONCAT), like=stock)
    forward = TwoViewForward(cds).attach()
    forward.begin_step(seed=4)
    batch = toy_batch(cds)
    seen: list[Any] = []
    handle = cds.bbox_head.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    found = flat(cds(**batch, mode='loss'))
    handle.remove()

    torch.manual_seed(4)
    second, _ = cds.neck.cds.view(batch['inputs'], batch['data_samples'], cds.data_preprocessor)
    assert not torch.equal(second, batch['inputs'])
    outputs = stock.backbone(torch.cat([batch['inputs'], second]))
    features = stock.neck(tuple(each[:2] for each in outputs))
    expected = flat(stock.bbox_head.loss(features, batch['data_samples']))
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-6, atol=1e-7)
    now = statistics(cds)
    for key, value in statistics(stock).items():
        assert torch.equal(now[key], value), key
    assert {key for key in found if 'cds' in key} == {f'loss_cds_backbone{i}' for i in range(4)}


def polygon_sample() -> Any:
    """Five corners, which no package's boxes have."""
    sample = toy_sample([], [])
    sample.gt_instances = InstanceData(bboxes=torch.zeros(1, 10), labels=torch.tensor([0]))
    return sample


class Pair(NamedTuple):
    first: Tensor
    second: Any


class GivenView(nn.Module):
    """Stands in for the view: a leaf, so that a gradient that reaches it shows."""

    def __init__(self, inner: nn.Module, second: Tensor) -> None:
        super().__init__()
        self.inner, self.second = inner, second

    def forward(self, *args: Any) -> Any:
        return self.second, self.inner(*args)[1]


@pytest.mark.parametrize('taps', [['backbone.0', 'backbone.1'], ['neck.1']])
@pytest.mark.parametrize('stop', [True, False])
def test_stop_gradient(stop: bool, taps: list[str]) -> None:
    model = toy(stop_gradient=stop, taps=taps, channels=dict(backbone=[4, 6], neck=[4, 6]), **IMAGES)
    images, samples = toy_inputs((1, 1))
    second = (images * 0.5 + 20).requires_grad_()
    model.neck.cds.view = GivenView(model.neck.cds.view, second)
    TwoViewForward(model).attach()
    images.requires_grad_()
    seen: list[Any] = []
    losses_of = model.neck.cds.losses
    model.neck.cds.losses = lambda features, views: (seen.append(features), losses_of(features, views))[1]  # type: ignore[func-returns-value]
    losses = model(images, samples, mode='loss')
    # Not only is nothing learned: the second pass keeps nothing for a backward pass either.
    tapped = taps[0].partition('.')[0]
    maps = [*seen[0].first[tapped], *seen[0].second[tapped]]
    assert [each.requires_grad for each in maps] == [True, True, not stop, not stop]
    del losses['loss_task']
    total(losses).backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert (second.grad is None) == stop
    if second.grad is not None:
        assert second.grad.abs().sum() > 0


@pytest.mark.parametrize('stop', [False, True])
@pytest.mark.parametrize('taps', [None, ['neck.0', 'backbone.1']])
def test_what_is_computed_again_has_the_same_gradient(stop: bool, taps: list[str] | None) -> None:
    """Losses, gradients and running statistics to the last bit, and the pass is made twice only where one is saved."""
    results = []
    for recompute in (False, True, None):
        channels = dict(backbone=[4, 6], neck=[4, 6])
        model = toy(norm=True, taps=taps, channels=channels, stop_gradient=stop, recompute=recompute)
        TwoViewForward(model).attach().begin_step(seed=3)
        passes: list[int] = []
        forward = model.backbone.forward
        model.backbone.forward = lambda x, f=forward, seen=passes: seen.append(1) or f(x)
        losses = step(model)
        total(losses).backward()
        results.append((flat(losses), gradients(model), statistics(model)))
        assert len(passes) == (2 if recompute is False or stop else 3)
    kept, *others = results
    for again in others:
        for first, second in zip(kept, again, strict=True):
            assert list(first) == list(second)
            assert all(torch.equal(first[name], second[name]) for name in first)


def test_by_default_the_second_pass_is_computed_again_on_a_cpu_only() -> None:
    model = toy(recompute=None)
    forward = TwoViewForward(model)
    for device, expected in (('cpu', 2), ('meta', 1)):
        model.to(device)
        model.backbone.calls.clear()
        output = forward._pass(model.backbone, torch.zeros(1, 3, 32, 32, dtype=torch.float64, device=device))
        total({'loss': output[-1].sum()}).backward()
        assert len(model.backbone.calls) == expected


@pytest.mark.parametrize('recompute', [True, False])
@pytest.mark.parametrize('taps', [None, ['neck.0']])
def test_a_second_view_too_small_for_batch_norm_is_named(taps: list[str] | None, recompute: bool) -> None:
    """One image of 64 pixels has 2x2 cells in the last stage, half of it one."""
    cfg = add_cds(toy_model(), view=dict(type='PhotometricView', scale=0.5), taps=taps, recompute=recompute)
    if taps is not None:
        # The backbone takes any size, the neck does not.
        cfg.model.backbone.norm_eval, cfg.model.neck.neck.norm_cfg = True, dict(type='BN')
    model = build(cfg).train()
    TwoViewForward(model).attach()
    with pytest.raises(
        ValueError, match=r'^neck\.view: the second view .*1 image, 32x32 pixels.*view\.scale=1\.0'
    ) as caught:
        model(**toy_batch(model, images=1), mode='loss')
    assert '\n' not in str(caught.value)
    model.neck.cds.view.scale = 1.0
    model(**toy_batch(model, images=1), mode='loss')


@pytest.mark.parametrize('cds', [{}, CONCAT])
def test_without_weight_there_is_no_second_view(cds: dict[str, Any]) -> None:
    model, plain = toy(norm=True, **cds), toy(norm=True, **cds)
    TwoViewForward(model).attach()
    model.neck.cds.weight = 0.0
    drawn = torch.get_rng_state()
    losses = step(model)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert model.backbone.calls == [2]
    assert torch.equal(losses['loss_task'], step(plain)['loss_task'])
    total(losses).backward()
    for name, parameter in model.neck.cds.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad == 0).all(), name
    model.backbone.calls.clear()
    model.neck.cds.weight = 1.0
    step(model)
    assert model.backbone.calls == ([4] if cds else [2, 2])


@pytest.mark.parametrize('concat', [False, True])
@pytest.mark.parametrize('extra', ['before', 'after'])
@pytest.mark.parametrize(
    'other',
    [lambda x: x.flip(3), lambda x: torch.cat([x, x + 9]), lambda x: x[:1], lambda x: x],
    ids=['N', '2N', '1', 'the batch itself'],
)
def test_a_backbone_called_on_something_else_too(concat: bool, extra: str, other: Callable[[Tensor], Tensor]) -> None:
    """The contrast is of the batch itself; the other call gets and gives what it would without CDS."""
    options = CONCAT if concat else {}
    model, plain = toy(**{extra: other}, **options), toy(**options)
    kept: list[Any] = []
    model.backbone.register_forward_hook(lambda _module, args, output: kept.append((args[0], output)))
    for each in (model, plain):
        TwoViewForward(each).attach().begin_step(seed=3)
    found, expected = step(model), step(plain)
    assert set(found) == set(expected) == {'loss_task', 'loss_cds_backbone0', 'loss_cds_backbone1'}
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value)
    inputs = other(toy_inputs((2, 1))[0])
    others = [output for given, output in kept if given.shape == inputs.shape and torch.equal(given, inputs)]
    assert others
    for output in others:
        for a, b in zip(output, plain.backbone(inputs), strict=True):
            torch.testing.assert_close(a, b)


class Cropping(ToyDetector):
    """Trains on crops of its inputs, as H2RBox does."""

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        return super().forward(inputs[:, :, 4:28, 4:28], data_samples, mode)


@pytest.mark.parametrize('concat', [False, True])
@pytest.mark.parametrize('taps', [['backbone.0', 'backbone.1'], ['neck.1']])
def test_a_backbone_that_never_gets_the_batch_itself(taps: list[str], concat: bool) -> None:
    """The task is that of the crops, the contrast that of the images."""
    options: dict[str, Any] = dict(norm=True, taps=taps, channels=dict(backbone=[4, 6], neck=[4, 6]))
    options['view'] = dict(type='PhotometricView')
    plain, stock = toy(**options), toy(**options)
    torch.manual_seed(0)
    cropping: Any = Cropping(**options, concat=concat).double().train()
    crops = toy_inputs((2, 1))[0][:, :, 4:28, 4:28]
    before = statistics(stock)
    assert torch.equal(cropping(toy_inputs((2, 1))[0]), stock(crops))
    expected, found = step_gradients(plain, 'loss_cds'), step_gradients(cropping, 'loss_cds')
    stock(crops)
    assert any(not torch.equal(before[name], value) for name, value in statistics(stock).items())
    for name, value in statistics(stock).items():
        assert torch.equal(statistics(cropping)[name], value), name
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def step_gradients(model: Any, key: str) -> dict[str, Tensor]:
    """The losses of a step whose names start with ``key``, and the gradients of their sum."""
    TwoViewForward(model).attach().begin_step(seed=3)
    losses = {name: value for name, value in step(model).items() if name.startswith(key)}
    total(losses).backward()
    return {**{name: value.detach() for name, value in losses.items()}, **gradients(model)}


def test_unlabelled_images_of_a_model_that_crops_are_refused() -> None:
    torch.manual_seed(0)
    model: Any = Cropping().double().train()
    TwoViewForward(model).attach()
    images, samples = toy_inputs((2, 1))
    samples[1].set_metainfo({'labelled': False})
    with pytest.raises(ValueError, match=r'^Cropping gives its backbone other images than its inputs, so .*Labelled'):
        model(images, samples, mode='loss')


def tensors_in(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    parts = list(output.values()) if isinstance(output, dict) else output
    return [each for part in parts for each in tensors_in(part)] if isinstance(parts, (list, tuple)) else []


@BOTH
def test_other_modes_and_evaluation_are_untouched(name: str) -> None:
    cfg = toy_model(name)
    stock = build(cfg)
    cds: Any = build(add_cds(cfg), like=stock)
    TwoViewForward(cds).attach()
    cds.neck.cds.view = None  # whoever would make a view fails
    for training in (True, False):
        stock.train(training)
        cds.train(training)
        for mode in ('tensor', 'predict', 'loss'):
            if training and mode == 'loss':
                continue
            outputs = []
            for model in (stock, cds):
                torch.manual_seed(2)
                with torch.no_grad():
                    output = model(**toy_batch(model), mode=mode)
                instances = [each.pred_instances.bboxes for each in output] if mode == 'predict' else output
                outputs.append(tensors_in(instances))
            assert len(outputs[0]) > 1
            assert len(outputs[0]) == len(outputs[1])
            assert all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))


def test_detaching_leaves_the_stock_model() -> None:
    model = toy()
    forward = TwoViewForward(model).attach().attach()
    assert hooks_of(model) == 6
    assert 'loss_cds_backbone0' in step(model)
    forward.detach()
    forward.detach()
    assert hooks_of(model) == 0
    assert set(step(model)) == {'loss_task'}
    assert 'loss_cds_backbone0' in step(forward.attach().model)


def test_a_step_that_failed_leaves_nothing_behind() -> None:
    model = toy(norm=True)
    TwoViewForward(model).attach().begin_step(seed=1)
    expected = step(model)
    model.head, head = None, model.head
    with pytest.raises(TypeError):
        step(model)
    # A step that is left over would give its views to the next call, and holds tensors that cannot be copied.
    assert TwoViewForward(model).supervision.attached._step is None
    model.head = head
    for key, value in step(model).items():
        torch.testing.assert_close(value, expected[key])
    assert all(m.track_running_stats for m in model.modules() if isinstance(m, nn.BatchNorm2d))


def test_an_interrupted_step_can_be_copied() -> None:
    model = toy()
    TwoViewForward(model).attach()

    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    handle = model.head.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        step(model)
    handle.remove()
    assert 'loss_cds_backbone0' in step(deepcopy(model))


def test_a_second_attachment_replaces_the_first() -> None:
    model = toy()
    first = TwoViewForward(model).attach()
    second = TwoViewForward(model).attach()
    assert hooks_of(model) == 6
    first.detach()
    assert model.neck.cds.attached is second
    assert 'loss_cds_backbone0' in step(model)


def test_mistakes_are_named() -> None:
    model = toy()
    bare = nn.Module()
    bare.neck = model.neck
    with pytest.raises(ValueError, match=r'^Module has no model\.backbone, whose stages CDS would supervise$'):
        TwoViewForward(bare)
    TwoViewForward(model).attach()
    images, samples = toy_inputs((1,))
    with pytest.raises(ValueError, match=r'^ToyDetector trains on inputs of the form list; CDS reads images '):
        model([images], samples, mode='loss')
    with pytest.raises(
        ValueError,
        match=r'^ToyDetector trains on inputs of the form \(1, 3, 32, 32\) without data samples; CDS reads ',
    ):
        model(images, mode='loss')


@pytest.mark.parametrize(
    ('samples', 'message'),
    [
        (
            dict(keypoints=1, img_metas=2),
            r"data_samples of the type dict with \['img_metas', 'keypoints'\]; CDS",
        ),
        (['a', 'b'], r'data_samples of the type list; CDS'),
        ([toy_sample([], [])], r'2 images with 1 data samples; CDS'),
        ([polygon_sample(), toy_sample([], [])], r'boxes \(1, 10\), not upright \(n, 4\), rotated \(n, 5\) or'),
    ],
)
def test_batches_of_other_packages_are_refused_in_one_line(samples: Any, message: str) -> None:
    model = toy()
    TwoViewForward(model).attach()
    with pytest.raises(ValueError, match=rf'^ToyDetector trains on {message}') as caught:
        model(toy_inputs((1, 1))[0], samples, mode='loss')
    assert '\n' not in str(caught.value)


def test_a_tap_that_the_model_does_not_use_is_named() -> None:
    class Lonely(ToyDetector):
        def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
            return {'loss_task': self.head(self.backbone(inputs)[-1]).mean()}

    torch.manual_seed(0)
    model = Lonely(taps=['neck.0'], channels=dict(neck=[4])).double().train()
    TwoViewForward(model).attach()
    with pytest.raises(
        ValueError, match=r"^neck\.taps=\['neck\.0'\]: Lonely did not pass its inputs through them, unchanged"
    ):
        step(model)


def test_outputs_of_any_form_are_split() -> None:
    x = torch.arange(8.0).reshape(4, 2)
    for part, rows in ((0, x[:2]), (1, x[2:])):
        assert torch.equal(split_outputs(x, part, 2), rows)
        found = split_outputs({'a': (x, [x + 1]), 'b': 'name'}, part, 2)
        assert found['b'] == 'name'
        assert torch.equal(found['a'][0], rows)
        assert torch.equal(found['a'][1][0], rows + 1)
        assert isinstance(found['a'][1], list)
    assert as_outputs(x)[0] is x
    assert as_outputs({'a': 1, 'b': 2}) == (1, 2)
    assert as_outputs([1, 2]) == (1, 2)
    pair = split_outputs(Pair(x, {'b': x}), 1, 2)
    assert isinstance(pair, Pair)
    assert torch.equal(pair.first, x[2:])
    assert torch.equal(pair.second['b'], x[2:])
    lists = split_outputs(defaultdict(list, a=x), 0, 2)
    assert torch.equal(lists['a'], x[:2])
    assert lists['none'] == []


def test_a_connected_zero_is_0_of_infinite_tensors() -> None:
    infinite = torch.tensor([torch.inf, torch.nan, 1.0], requires_grad=True)
    zero = connected_zero(infinite, infinite[:0])
    assert zero == 0
    zero.backward()
    assert infinite.grad is not None
    assert infinite.grad.tolist() == [0, 0, 0]


# --- several processes -------------------------------------------------------------------------


def counts_of(world: int) -> list[tuple[int, int]]:
    """Two images per rank; the second rank's have no instance."""
    return [(4, 1), (0, 0), (0, 3)][:world]


def part(rank: int, world: int) -> tuple[Tensor, list[Any]]:
    images, samples = toy_inputs([n for counts in counts_of(world) for n in counts])
    return images[2 * rank : 2 * rank + 2], samples[2 * rank : 2 * rank + 2]


def train_on_a_rank(rank: int, world: int, cds: dict[str, Any]) -> dict[str, Any]:
    model = toy(**cds)
    TwoViewForward(model).attach()
    wrapped: Any = DistributedDataParallel(model)
    images, samples = part(rank, world)
    steps = []
    for _ in range(2):
        model.zero_grad()
        losses = wrapped(images, samples, mode='loss')
        total(losses).backward()
        steps.append(({key: loss.item() for key, loss in losses.items()}, gradients(model)))
    return dict(steps=steps, queues=dict(model.neck.cds.queues.named_buffers()))


def train_on_the_union(world: int, cds: dict[str, Any]) -> dict[str, Any]:
    model = toy(**cds)
    TwoViewForward(model).attach()
    parts = [part(rank, world) for rank in range(world)]
    steps = []
    for _ in range(2):
        model.zero_grad()
        losses = model(torch.cat([p[0] for p in parts]), [s for p in parts for s in p[1]], mode='loss')
        total(losses).backward()
        steps.append(({key: loss.item() for key, loss in losses.items()}, gradients(model)))
    return dict(steps=steps, queues=dict(model.neck.cds.queues.named_buffers()))


@pytest.mark.parametrize(
    ('world', 'cds'),
    [
        (2, dict(queue_length=7)),
        (3, dict(loss=dict(type='ContrastiveLoss', positives='instance'), stop_gradient=True)),
        (2, dict(view=dict(type='SingleView'), queue_length=7)),
    ],
    ids=['two ranks with a queue', 'three ranks, NT-Xent, stop_gradient', 'two ranks, one view with a queue'],
)
def test_ranks_together_are_one_process(world: int, cds: dict[str, Any], tmp_path: Path) -> None:
    """DDP without find_unused_parameters; one rank has no instance; two steps, so that the queue is used."""
    union = train_on_the_union(world, cds)
    ranks = run_ranks(world, train_on_a_rank, tmp_path, cds)
    for number, (losses, expected) in enumerate(union['steps']):
        for key, value in losses.items():
            mean = sum(rank['steps'][number][0][key] for rank in ranks) / world
            assert mean == pytest.approx(value, rel=1e-6), key
            assert value > 1e-3
        for rank in ranks:
            found = rank['steps'][number][1]
            assert set(found) == set(expected)
            for key, gradient in expected.items():
                torch.testing.assert_close(found[key], gradient, rtol=1e-6, atol=1e-9, msg=key)
    assert bool(union['queues']) == ('queue_length' in cds)
    for rank in ranks:
        for key, value in union['queues'].items():
            assert torch.equal(rank['queues'][key], ranks[0]['queues'][key])
            torch.testing.assert_close(rank['queues'][key], value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ('arguments', 'refused'),
    [
        (dict(view=dict(type='PhotometricView', scale=0.5)), True),
        (dict(view=dict(type='PhotometricView', scale=0.5), stop_gradient=True), False),
        (dict(view=dict(type='PhotometricView'), concat=True), False),
        ({}, False),
    ],
)
def test_a_backbone_that_recomputes_with_ddp_and_a_second_pass(arguments: dict[str, Any], refused: bool) -> None:
    """DDP would get the gradients of the backbone's parameters twice, and end the first step without a reason."""
    model = build(add_cds(toy_model('retinanet', with_cp=True), **arguments))
    two_views = TwoViewForward(model, one_gradient=True).attach()
    two_views.begin_step(1.0, 0)
    batch = toy_batch(model)
    if refused:
        with pytest.raises(ValueError, match=r'^ResNet recomputes .*SingleView.*concat=True.*static_graph=True'):
            model(**batch, mode='loss')
    else:
        model(**batch, mode='loss')


def test_an_error_in_the_second_pass_leaves_no_hooks_on_tensors() -> None:
    """torch's checkpoint keeps its hooks as long as the error is kept, and then computes the failed pass again."""
    model = build(add_cds(toy_model('retinanet'), view=dict(type='PhotometricView', scale=0.5), recompute=True))
    two_views = TwoViewForward(model).attach()
    two_views.begin_step(1.0, 0)
    batch = toy_batch(model, images=1)
    with pytest.raises(ValueError, match=r'^neck\.view: .* \(1 image, 32x32 pixels\) is a single cell') as kept:
        model(**batch, mode='loss')
    x = torch.ones(3, requires_grad=True)
    (x * x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2, 2]
    assert kept.value is not None
