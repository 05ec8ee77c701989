"""The hook through MMEngine's Runner: what the model sees in each iteration, and nothing after it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler
from toys import ToyDetector, build, hooks_of, toy_model

from mmcds import add_cds
from mmcds.engine.hooks import CDSHook, cds_hook
from mmcds.models import ContrastiveSupervision, InstanceSampler


class Watch(Hook):
    """Notes weight, seed and torch hooks in every iteration, after the CDSHook has run."""

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.weights: list[float] = []
        self.seeds: list[int] = []
        self.hooks: list[int] = []
        self.losses: list[set[str]] = []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        hook: Any = next(each for each in runner.hooks if isinstance(each, CDSHook))
        self.weights.append(hook.two_views.supervision.weight)
        self.seeds.append(hook.two_views.seed)
        self.hooks.append(hooks_of(runner.model))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        assert outputs is not None
        self.losses.append({key for key in outputs if 'cds' in key})


def train(cfg: Config) -> tuple[Runner, Watch]:
    with DefaultScope.overwrite_default_scope('mmdet'):
        runner = Runner.from_cfg(cfg)
        watch = Watch()
        runner.register_hook(watch)
        runner.train()
    return runner, watch


def test_weight_seed_and_hooks_in_the_course_of_training(stock_config: Config) -> None:
    """Six iterations in two epochs; by hand: 0, 1/3, 2/3, 1, 1, and 0 from the last on."""
    cfg = add_cds(stock_config, schedule=dict(warmup=0.5, stop=5 / 6))
    runner, watch = train(cfg)
    assert watch.weights == pytest.approx([0, 1 / 3, 2 / 3, 1, 1, 0])
    history = runner.message_hub.get_scalar('train/cds_weight').data[0]
    assert list(history) == pytest.approx(watch.weights)
    assert len(set(watch.seeds)) == 6
    assert set(watch.hooks) == {6}
    assert hooks_of(runner.model) == 0
    assert watch.losses == [{f'loss_cds_backbone{i}' for i in range(4)}] * 6
    # The same run draws the same seeds, another run others.
    assert train(cfg)[1].seeds == watch.seeds
    cfg.randomness = dict(seed=1)
    assert not set(train(cfg)[1].seeds) & set(watch.seeds)


@pytest.mark.parametrize('unit', ['fraction', 'epoch'])
def test_iteration_based_training(stock_config: Config, unit: str) -> None:
    """Epochs are then those of the data loader, three batches long."""
    stock_config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=5, val_interval=100)
    stock_config.train_dataloader.sampler.type = 'InfiniteSampler'
    stop = 0.8 if unit == 'fraction' else 1
    _, watch = train(add_cds(stock_config, schedule=dict(stop=stop, unit=unit)))
    assert watch.weights == ([1, 1, 1, 1, 0] if unit == 'fraction' else [1, 1, 1, 0, 0])


def test_a_model_without_cds_is_refused_before_training(stock_config: Config) -> None:
    stock_config.custom_hooks = [dict(type='mmcds.CDSHook')]
    with pytest.raises(ValueError, match=r'^model\.neck is FPN, not a CDSNeck; wrap it: .*mmcds\.add_cds'):
        train(stock_config)


@pytest.mark.parametrize('ending', [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_training_leaves_one_contrast_to_the_next(
    stock_config: Config, ending: type[BaseException]
) -> None:
    class Break(Hook):
        def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
            if runner.iter == 1:
                raise ending

    cfg = add_cds(stock_config)
    cfg.custom_hooks.append(dict(type='mmcds.DiagnosticsHook', interval=1))
    with DefaultScope.overwrite_default_scope('mmdet'):
        runner = Runner.from_cfg(cfg)
        interrupting = Break()
        runner.register_hook(interrupting)
        with pytest.raises(ending):
            runner.train()
        runner.hooks.remove(interrupting)
        watch = Watch()
        runner.register_hook(watch)
        runner.train()
    # Six of the contrast and two of the diagnostics.
    assert set(watch.hooks) == {8}
    assert hooks_of(runner.model) == 0


def test_a_second_cds_hook_is_refused(stock_config: Config) -> None:
    cfg = add_cds(stock_config)
    cfg.custom_hooks.append(dict(type='mmcds.CDSHook'))
    with pytest.raises(ValueError, match=r'^custom_hooks has 2 CDSHooks, and each adds the contrast; keep one$'):
        train(cfg)


def test_distillation_without_a_teacher_is_refused(stock_config: Config) -> None:
    with pytest.raises(ValueError, match=r'^model\.neck\.distill is set, but custom_hooks has no DistillHook'):
        train(add_cds(stock_config, distill=dict()))


@pytest.mark.parametrize('has_hook', [True, False])
def test_a_training_without_the_hook_is_told_once(
    has_hook: bool, stock_config: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    cfg = add_cds(stock_config)
    cfg.log_level = 'WARNING'
    if not has_hook:
        cfg.custom_hooks = []
    train_alone(cfg)
    assert logged(capfd, 'trains without its losses') == (0 if has_hook else 1)


def train_alone(cfg: Config) -> Runner:
    with DefaultScope.overwrite_default_scope('mmdet'):
        runner = Runner.from_cfg(cfg)
        runner.train()
    return runner


def test_a_loaded_checkpoint_leaves_its_queue_behind(stock_config: Config, tmp_path: Path) -> None:
    """Its labels are those of another data set; a resumed run keeps the queue."""
    cfg = add_cds(stock_config, queue_length=16)
    first = train_alone(cfg)
    filled = first.model.neck.cds.queues['backbone0'].labels.clone()
    assert (filled >= 0).any()
    path = str(tmp_path / 'last.pth')
    first.save_checkpoint(str(tmp_path), 'last.pth', save_param_scheduler=False)
    for resume in (False, True):
        again = cfg.copy()
        again.update(load_from=path, resume=resume)
        with DefaultScope.overwrite_default_scope('mmdet'):
            runner = Runner.from_cfg(again)
            runner.load_or_resume()
        held = runner.model.neck.cds.queues['backbone0'].labels
        assert torch.equal(held, filled) if resume else (held == -1).all()
        assert torch.equal(runner.model.backbone.conv1.weight, first.model.backbone.conv1.weight)


@pytest.mark.parametrize('packed', [False, True])
@pytest.mark.parametrize(('sampler', 'world', 'expected'), [('whole', 1, 6), ('whole', 2, 3), ('share', 2, 3)])
def test_an_epoch_is_that_of_one_rank(
    packed: bool, sampler: str, world: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 images in batches of 4; MMEngine's InfiniteSampler reports the whole set on every rank."""
    monkeypatch.setattr(cds_hook, 'get_world_size', lambda: world)
    data: Any = list(range(24))
    rows = SequentialSampler(data if sampler == 'whole' else data[::world])
    given: dict[str, Any] = (
        dict(batch_sampler=BatchSampler(rows, 4, False)) if packed else dict(sampler=rows, batch_size=4)
    )
    assert cds_hook.batches_of(DataLoader(data, **given)) == expected


def test_a_wrong_schedule_is_refused_when_it_is_built() -> None:
    with pytest.raises(ValueError, match=r"^schedule='warm' is not known; nearest: warmup"):
        CDSHook(dict(warm=1))


def test_seeds_of_iterations_runs_and_ranks_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []
    monkeypatch.setattr(cds_hook, 'get_world_size', lambda: 3)
    for rank in range(3):
        monkeypatch.setattr(cds_hook, 'get_rank', lambda rank=rank: rank)
        seeds += [CDSHook._seed(seed, i) for seed in (0, 1, 2, 2**31 - 1) for i in range(500)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    torch.manual_seed(max(seeds))


@pytest.mark.parametrize('unlabelled', [True, False])
def test_all_ranks_are_told_of_unlabelled_images_before_they_see_one(unlabelled: bool) -> None:
    parts = [SimpleNamespace(has_unlabelled=each) for each in (False, unlabelled)]
    loader = SimpleNamespace(dataset=SimpleNamespace(dataset=SimpleNamespace(datasets=parts)))
    runner: Any = SimpleNamespace(model=ToyDetector(), train_dataloader=loader, hooks=[])
    hook = CDSHook()
    hook.before_train(runner)
    assert hook.two_views is not None
    assert hook.two_views.has_unlabelled is unlabelled


def logged(capfd: pytest.CaptureFixture[str], words: str) -> int:
    captured = capfd.readouterr()
    return (captured.out + captured.err).count(words)


@pytest.mark.parametrize('boxes', [False, True])
def test_a_contrast_of_nothing_is_told_once(
    stock_config: Config, boxes: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Six iterations without a box, two more than it waits; with boxes it has nothing to say."""
    monkeypatch.setattr(cds_hook, 'PATIENCE', 4)
    cfg = add_cds(stock_config)
    cfg.log_level = 'WARNING'
    if not boxes:
        cfg.train_dataloader.dataset.pipeline.insert(
            2, dict(type='FilterAnnotations', min_gt_bbox_wh=(999, 999), keep_empty=False)
        )
    train(cfg)
    captured = capfd.readouterr()
    told = [line for line in (captured.out + captured.err).splitlines() if 'found nothing to contrast' in line]
    assert len(told) == (0 if boxes else 1)
    if not boxes:
        assert '4 iterations found nothing to contrast, so loss_cds_backbone0' in told[0]
        assert 'ImageSampler' in told[0]


def test_a_batch_of_one_image_has_nothing_to_contrast(
    stock_config: Config, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its loss is 0 but for rounding."""
    monkeypatch.setattr(cds_hook, 'PATIENCE', 4)
    cfg = add_cds(stock_config, sampler=dict(type='ImageSampler'))
    cfg.log_level, cfg.train_dataloader.batch_size, cfg.model.backbone.norm_eval = 'WARNING', 1, True
    train(cfg)
    assert logged(capfd, '4 iterations found nothing to contrast') == 1


def test_a_contrast_of_nan_is_not_taken_for_nothing(
    stock_config: Config, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    losses = ContrastiveSupervision.losses

    def diverged(self: ContrastiveSupervision, *args: Any) -> dict[str, torch.Tensor]:
        return {name: loss * float('nan') for name, loss in losses(self, *args).items()}

    monkeypatch.setattr(ContrastiveSupervision, 'losses', diverged)
    monkeypatch.setattr(cds_hook, 'PATIENCE', 4)
    cfg = add_cds(stock_config)
    cfg.log_level = 'WARNING'
    train(cfg)
    assert logged(capfd, 'found nothing to contrast') == 0


def test_a_step_past_the_model_s_forward_is_an_error(stock_config: Config) -> None:
    """A train_step of the user's own that calls `loss` instead of `forward` trains without the contrast."""
    cfg = add_cds(stock_config)
    with DefaultScope.overwrite_default_scope('mmdet'):
        runner = Runner.from_cfg(cfg)
        model: Any = runner.model
        model._run_forward = lambda data, mode: getattr(model, mode)(data['inputs'], data['data_samples'])
        with pytest.raises(ValueError, match=r'^FasterRCNN trains without the contrast: its forward was not called'):
            runner.train()


class OwnLabels(InstanceSampler):
    """Its labels are not the classes of the data set."""

    labels_are_classes = False


def one_class(cfg: Config) -> Config:
    cfg.train_dataloader.dataset.metainfo = dict(classes=('a',))
    cfg.model.roi_head.bbox_head.num_classes = 1
    return cfg


@pytest.mark.parametrize(
    ('parts', 'background', 'words'),
    [
        ({}, 8, 'one class: its objects are no negatives of each other, so CDS takes 8 background boxes'),
        (dict(sampler=dict(background=3)), 3, ''),
        (
            dict(sampler=dict(one_class_background=0)),
            0,
            'neck.sampler.one_class_background=0 with one class: the contrast has no negatives',
        ),
        (dict(loss=dict(positives='instance')), 0, ''),
        (dict(sampler=dict(type=OwnLabels)), 0, ''),
    ],
)
def test_one_class_gets_background_as_negatives(
    stock_config: Config, parts: dict[str, Any], background: int, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    cfg = add_cds(one_class(stock_config), **parts)
    cfg.log_level = 'INFO'
    cfg.train_cfg.max_epochs = 1
    with DefaultScope.overwrite_default_scope('mmdet'):
        runner = Runner.from_cfg(cfg)
        runner.train()
    sampler = runner.model.neck.cds.sampler
    assert sampler.background == background
    assert logged(capfd, words) == 1 if words else 'one class' not in capfd.readouterr().out


def test_several_classes_get_no_background(stock_config: Config) -> None:
    runner, _ = train(add_cds(stock_config))
    assert runner.model.neck.cds.sampler.background == 0


def test_classes_are_counted_from_the_data_or_the_head() -> None:
    head = SimpleNamespace(num_classes=1)
    for model in (SimpleNamespace(bbox_head=head), SimpleNamespace(roi_head=SimpleNamespace(bbox_head=head))):
        assert cds_hook.count_classes(model, None) == 1
        assert cds_hook.count_classes(model, SimpleNamespace(metainfo=dict(classes=('a', 'b')))) == 2
    assert cds_hook.count_classes(SimpleNamespace(), SimpleNamespace(metainfo={})) is None


def test_is_found_by_name(tmp_path: Path) -> None:
    from mmengine.registry import HOOKS

    with DefaultScope.overwrite_default_scope('mmdet'):
        assert isinstance(HOOKS.build(dict(type='mmcds.CDSHook', schedule=dict(warmup=0.1))), CDSHook)


@pytest.mark.parametrize('static_graph', [False, True])
def test_ddp_takes_one_gradient_of_a_parameter_unless_its_graph_is_static(static_graph: bool) -> None:
    class Wrapped(DistributedDataParallel):
        """Without a process group."""

        def __init__(self, module: torch.nn.Module) -> None:
            torch.nn.Module.__init__(self)
            self.module, self.static_graph = module, static_graph

    model = build(add_cds(toy_model('retinanet')))
    runner: Any = SimpleNamespace(hooks=[], train_dataloader=None)
    hook = CDSHook()
    for runner.model, expected in (
        (Wrapped(model), not static_graph),
        (model, False),
    ):
        hook.before_train(runner)
        assert hook.two_views is not None
        assert hook.two_views.one_gradient is expected
        hook.two_views.detach()
