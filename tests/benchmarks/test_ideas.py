"""Every arm of the screening takes a step, and the parts of its own do what their docstrings say."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config, DictAction
from toys import build, total, toy_batch, toy_inputs

from benchmarks.experiments.ideas.hooks import FollowTaskHook
from benchmarks.experiments.ideas.samplers import BackgroundClass, JitteredInstances, LabelledGrid, NearBackground
from benchmarks.experiments.ideas.supervision import JoinedLevels, Prototypes
from benchmarks.experiments.matrix import Arm, load_matrix
from mmcds.cli.prepare import prepare_config
from mmcds.models.forward import TwoViewForward
from mmcds.models.necks import find_supervision
from mmcds.models.samplers import ViewPair
from mmcds.models.samplers.instance import covered_share
from mmcds.models.taps import Tap

MATRIX = Path(__file__).resolve().parents[2] / 'benchmarks/experiments/screening_matrix.py'
ARMS = load_matrix(MATRIX).arms


def config_of(arm: Arm) -> Config:
    options = {k: DictAction._parse_iterable(str(v)) for k, v in arm.options.items() if k != 'data_root'}
    return prepare_config(arm.config, options, cds=False, check_data=False)


@pytest.mark.slow
@pytest.mark.parametrize('name', ARMS)
def test_a_step_of_every_arm(name: str, mmdet_scope: None) -> None:
    cfg = config_of(ARMS[name])
    torch.manual_seed(0)
    model = build(cfg)
    batch = toy_batch(model, 4)
    for sample in batch['data_samples']:
        sample.gt_instances.labels %= 3
    if ARMS[name].config == ARMS['stock'].config:
        losses = model(**batch, mode='loss')
    else:
        two_views = TwoViewForward(model).attach()
        two_views.begin_step(seed=0)
        losses = model(**batch, mode='loss')
        ours = {k: v for k, v in losses.items() if k.startswith(('loss_cds', 'loss_dsn'))}
        assert ours
        assert all(v.isfinite() and v > 0 for v in ours.values())
    total(losses).backward()
    assert all(p.grad is not None for p in model.backbone.parameters() if p.requires_grad)
    hooks = [hook['type'] for hook in cfg.custom_hooks]
    assert ('ideas.FollowTaskHook' in hooks) == (name == 'follow')


def views(*counts: int) -> ViewPair:
    """Images of 32 px, the second view at half the side."""
    _, samples = toy_inputs(counts)
    boxes = [each.gt_instances.bboxes for each in samples]
    return ViewPair(
        input_sizes=((32, 32), (16, 16)),
        image_sizes=(torch.full((len(counts), 2), 32.0), torch.full((len(counts), 2), 16.0)),
        image_labels=torch.full((len(counts),), -1),
        boxes=(boxes, [box / 2 for box in boxes]),
        labels=[each.gt_instances.labels for each in samples],
        transforms=torch.diag(torch.tensor([0.5, 0.5, 1.0])).expand(len(counts), 3, 3),
    )


def test_background_beside_objects() -> None:
    torch.manual_seed(0)
    boxes, size = torch.tensor([[10.0, 10, 20, 20], [5, 5, 5, 9]]), torch.tensor([64.0, 64])
    free = NearBackground(background=8, background_iou=0.3).free_boxes(boxes, size)
    assert 0 < len(free) <= 8
    overlap = covered_share(free, boxes[:1]).flatten()
    assert overlap.max() <= 0.3
    centre = (free[:, :2] + free[:, 2:]) / 2
    assert (centre - 15).norm(dim=1).max() <= 10 * 2**0.5
    assert len(NearBackground(background=4).free_boxes(boxes[:0], size)) == 4


def test_background_as_a_class() -> None:
    torch.manual_seed(0)
    found = BackgroundClass(num_classes=3, background=4).sample(views(2, 0))
    assert found.is_anchor.all()
    assert (found.labels == 3).sum() >= 4
    assert found.labels[:2].max() < 3


def test_jitter_moves_the_second_view_alone() -> None:
    pair = views(3, 1)
    found = JitteredInstances(jitter=0.15).sample(pair)
    assert torch.equal(found.rois[0][:, 1:], torch.cat(pair.boxes[0]))
    moved, boxes = found.rois[1][:, 1:], torch.cat(pair.boxes[1])
    assert not torch.equal(moved, boxes)
    assert ((moved - boxes).abs() <= 0.15 * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)).all()
    assert torch.equal(found.rois[1][:, 0], torch.tensor([0.0, 0, 0, 1]))


def test_grid_points_have_the_class_of_the_smallest_box() -> None:
    pair = views(2)
    pair.boxes[0][0] = torch.tensor([[0.0, 0, 32, 16], [0, 0, 10, 10]])
    pair.labels[0] = torch.tensor([0, 1])
    found = LabelledGrid(num_classes=3, grid_size=4).sample(pair)  # points at 4, 12, 20 and 28
    assert found.labels.view(4, 4).tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [3, 3, 3, 3], [3, 3, 3, 3]]
    assert found.is_anchor.all()


def parts(**changes: Any) -> dict[str, Any]:
    taps = [Tap('neck', i, 4, 2 - i) for i in range(3)]
    given = dict(view=dict(type='PhotometricView'), sampler=dict(type='InstanceSampler'), concat=False)
    return dict(
        taps=taps, projector=dict(type='MLPProjector', out_channels=5), loss=dict(type='ContrastiveLoss'),
        loss_weight=0.5, queue_length=0, stop_gradient=False, **given, **changes,
    )  # fmt: skip


@pytest.mark.parametrize(('neighbours', 'groups'), [(False, [(0, 1, 2)]), (True, [(0, 1), (1, 2)])])
def test_levels_in_one_contrast(neighbours: bool, groups: list[tuple[int, ...]]) -> None:
    supervision = JoinedLevels(neighbours, **parts())
    samples = supervision.sampler.sample(views(2, 1))
    rows = {tap.key: torch.nn.functional.normalize(torch.randn(6, 5), dim=1) for tap in supervision.taps}
    losses = supervision.losses_of(rows, samples)
    assert list(losses) == [f'loss_cds_neck{group[-1]}' for group in groups]
    for group, loss in zip(groups, losses.values(), strict=True):
        joined = torch.cat([rows[f'neck{i}'] for i in group])
        repeat = 2 * len(group)
        expected = supervision.loss(
            joined, samples.labels.repeat(repeat), torch.arange(3).repeat(repeat), samples.is_anchor.repeat(repeat)
        )
        torch.testing.assert_close(loss, expected * 0.5 * 3 / len(groups))


def test_prototypes_are_moving_averages() -> None:
    supervision = Prototypes(3, momentum=0.5, **parts())
    samples = supervision.sampler.sample(views(2))
    samples.labels[:] = torch.tensor([0, 2])
    tap = supervision.taps[0]
    first, second = (torch.nn.functional.normalize(torch.randn(4, 5), dim=1) for _ in range(2))
    supervision.losses_of({each.key: first for each in supervision.taps}, samples)
    averages = supervision.averages[tap.key]
    torch.testing.assert_close(averages[0], first[[0, 2]].mean(0))
    assert not averages[1].any()
    supervision.losses_of({each.key: second for each in supervision.taps}, samples)
    torch.testing.assert_close(averages[2], (first[[1, 3]].mean(0) + second[[1, 3]].mean(0)) / 2)
    assert not averages.requires_grad


def test_the_weight_follows_the_task(mmdet_scope: None) -> None:
    from types import SimpleNamespace

    from mmengine.logging import MessageHub

    model: Any = build(config_of(ARMS['cds']))
    runner: Any = SimpleNamespace(message_hub=MessageHub.get_instance('follow'), model=model)
    hook, supervision = FollowTaskHook(settle=2, momentum=0.5), find_supervision(model)
    weights = []
    for task in (4.0, 2.0, 1.0, 9.0):
        supervision.weight = 1.0
        hook.before_train_iter(runner, 0)
        weights.append(supervision.weight)
        hook.after_train_iter(runner, 0, None, {'loss': 99.0, 'loss_cls': torch.tensor(task), 'loss_cds_x': 50.0})
    # The beginning is 3; the average then goes to 2 and to 5.5, above which the weight does not rise.
    assert weights == pytest.approx([1, 1, 1, 2 / 3])
    hook.before_train_iter(runner, 0)
    assert supervision.weight == pytest.approx(2 / 3)
