"""Reading logs of interrupted runs, and drawing them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmcds.analysis.pictures.save import save_figure
from mmcds.analysis.runs.curves import choose_losses, choose_metrics, plot_runs, smaller_is_better
from mmcds.analysis.runs.run_log import RunLog, read_run, running_mean


def train_line(step: int, **values: float) -> str:
    return json.dumps({'lr': 0.1, 'loss': 1.0 / step, 'epoch': 1 + step // 100, 'iter': step, 'step': step, **values})


def val_line(step: int, ap: float) -> str:
    return json.dumps({'coco/bbox_mAP': ap, 'coco/bbox_mAP_50': ap + 0.1, 'time': 0.1, 'step': step})


def write(work_dir: Path, start: str, lines: list[str], end: str = '\n') -> Path:
    folder = work_dir / start / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(lines) + end)
    return folder / 'scalars.json'


def test_a_work_dir_its_parts_and_a_file_give_the_same(tmp_path: Path) -> None:
    lines = [train_line(10), train_line(20), val_line(1, 0.25)]
    file = write(tmp_path / 'run', '20260101_000000', lines)
    for path in (tmp_path / 'run', file.parents[1], file.parent, file):
        run = read_run(path)
        np.testing.assert_array_equal(run.series('loss'), [[10, 20], [0.1, 0.05]])
        np.testing.assert_array_equal(run.series('coco/bbox_mAP_50'), [[1], [0.35]])
        assert run.series('loss_cds_stage1')[0].shape == (0,)
        assert run.by_epoch
        assert run.unreadable == 0
    assert read_run(tmp_path / 'run').name == 'run'
    assert read_run(tmp_path / 'run', 'stock').name == 'stock'


def test_a_resumed_run_replaces_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', [train_line(s) for s in (50, 100, 150)] + [val_line(1, 0.1), val_line(2, 0.2)])
    later = [train_line(100, loss=7.0), train_line(120, loss=8.0), val_line(2, 0.3)]
    write(tmp_path, '20260102_000000', later)
    write(tmp_path, '20260103_000000', [])
    run = read_run(tmp_path)
    np.testing.assert_array_equal(run.series('loss'), [[50, 100, 120], [0.02, 7, 8]])
    np.testing.assert_array_equal(run.series('coco/bbox_mAP'), [[1, 2], [0.1, 0.3]])


def test_half_a_line_and_nan_do_no_harm(tmp_path: Path) -> None:
    half = train_line(30)[:25]
    write(tmp_path, '20260101_000000', [train_line(10), train_line(20, loss=math.nan), '', half], end='')
    run = read_run(tmp_path)
    steps, values = run.series('loss')
    np.testing.assert_array_equal(steps, [10, 20])
    np.testing.assert_array_equal(values, [0.1, math.nan])
    assert run.unreadable == 1


def test_an_iteration_based_run_is_recognised(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', ['{"lr": 1, "loss": 2, "iter": 10, "step": 10}', val_line(1000, 0.5)])
    assert not read_run(tmp_path).by_epoch


def iteration_line(step: int) -> str:
    return json.dumps({'lr': 0.1, 'loss': 1.0, 'iter': step, 'step': step})


def iteration_config(file: Path, **loop: Any) -> None:
    loop = {'type': 'IterBasedTrainLoop', 'max_iters': 12, 'val_interval': 4, **loop}
    file.with_name('config.py').write_text(f'train_cfg = {loop}\n')


def test_all_evaluations_of_an_iteration_based_run_are_kept(tmp_path: Path) -> None:
    """MMEngine logs all of them as of step 0."""
    lines = [iteration_line(4), val_line(0, 0.1), iteration_line(8), val_line(0, 0.2), iteration_line(12)]
    file = write(tmp_path, '20260101_000000', [*lines, val_line(0, 0.3)])
    for with_config in (False, True):
        if with_config:
            iteration_config(file)
        run = read_run(tmp_path)
        assert not run.by_epoch
        np.testing.assert_array_equal(run.series('coco/bbox_mAP'), [[4, 8, 12], [0.1, 0.2, 0.3]])


def test_evaluations_between_two_logged_steps(tmp_path: Path) -> None:
    """More of them than training logs, and the last one at the end of the run."""
    lines = [val_line(0, 0.1), val_line(0, 0.2), iteration_line(10), val_line(0, 0.3), val_line(0, 0.4)]
    file = write(tmp_path, '20260101_000000', lines)
    assert len(read_run(tmp_path).val) == 4
    iteration_config(file, max_iters=14)
    np.testing.assert_array_equal(read_run(tmp_path).series('coco/bbox_mAP')[0], [4, 8, 12, 14])
    iteration_config(file, max_iters=16, val_begin=5, dynamic_intervals=[(8, 8)])
    file.write_text('\n'.join([iteration_line(5), val_line(0, 0.1), iteration_line(9), val_line(0, 0.1)]))
    np.testing.assert_array_equal(read_run(tmp_path).series('coco/bbox_mAP')[0], [8, 16])


def test_evaluations_of_a_resumed_iteration_based_run(tmp_path: Path) -> None:
    """Killed after iteration 10, resumed from 8, where nothing had been logged before the evaluation at 12."""
    first = [iteration_line(5), val_line(0, 0.1), iteration_line(10)]
    iteration_config(write(tmp_path, '20260101_000000', [first[0], val_line(0, 0.1), first[2]]), max_iters=20)
    later = [val_line(0, 0.2), iteration_line(15), val_line(0, 0.3), iteration_line(20), val_line(0, 0.4)]
    iteration_config(write(tmp_path, '20260102_000000', later), max_iters=20)
    np.testing.assert_array_equal(read_run(tmp_path).series('coco/bbox_mAP'), [[8, 12, 16, 20], [0.1, 0.2, 0.3, 0.4]])


def test_what_the_evaluations_count_is_said_by_the_config(tmp_path: Path) -> None:
    """An epoch-based run whose training log counts iterations, and one whose evaluations do."""
    lines = [iteration_line(10), val_line(1, 0.1), iteration_line(20), val_line(2, 0.2)]
    file = write(tmp_path / 'a', '20260101_000000', lines)
    assert read_run(tmp_path / 'a').by_epoch
    file.with_name('config.py').write_text("train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)\n")
    assert read_run(tmp_path / 'a').by_epoch
    file = write(
        tmp_path / 'b', '20260101_000000', [train_line(10), val_line(10, 0.1), train_line(20), val_line(20, 1)]
    )
    assert not read_run(tmp_path / 'b').by_epoch
    file.with_name('config.py').write_text(
        'train_cfg = dict(by_epoch=True, max_epochs=2)\ndefault_hooks = dict(logger=dict(log_metric_by_epoch=False))\n'
    )
    run = read_run(tmp_path / 'b')
    assert not run.by_epoch
    np.testing.assert_array_equal(run.series('coco/bbox_mAP')[0], [10, 20])


def test_a_path_without_a_log_says_where_one_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='does not exist'):
        read_run(tmp_path / 'none')
    write(tmp_path / 'run', '20260101_000000', [train_line(10)])
    with pytest.raises(FileNotFoundError, match=f'these inside it have some: {tmp_path}/run'):
        read_run(tmp_path)
    write(tmp_path / 'empty', '20260101_000000', [])
    with pytest.raises(ValueError, match='no scalars'):
        read_run(tmp_path / 'empty')


@pytest.mark.parametrize('window', [1, 2, 3, 5, 50])
@pytest.mark.parametrize('length', [0, 1, 2, 11])
def test_the_running_mean_is_the_mean_of_neighbours(window: int, length: int) -> None:
    values = np.random.default_rng(0).normal(size=length)
    if length > 4:
        values[[3, 4]] = math.nan, math.inf
    expected = []
    for i in range(length):
        half = min(window // 2, i, length - 1 - i)
        near = [v for v in values[i - half : i + half + 1] if math.isfinite(v)]
        expected.append(np.mean(near) if math.isfinite(values[i]) else math.nan)
    np.testing.assert_allclose(running_mean(values, window), expected, rtol=1e-12)


def test_a_window_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match='smooth=0'):
        running_mean(np.ones(3), 0)


def record(**values: float) -> dict[str, float]:
    return {'step': 1, **values}


@pytest.mark.parametrize(
    'name', ['crowd_human/mMR', 'motchallenge-metric/IDSW', 'motchallenge-metric/IDFN', 'calibration/ece', 'loss']
)
def test_of_mistakes_the_fewest_are_the_best(name: str) -> None:
    assert smaller_is_better(name)


@pytest.mark.parametrize('name', ['coco/bbox_mAP', 'accuracy/top1', 'coco/html_precision', 'motchallenge-metric/IDF1'])
def test_of_others_the_largest_is_the_best(name: str) -> None:
    assert not smaller_is_better(name)


def test_which_losses_and_metrics_are_drawn() -> None:
    losses = {'loss_cls': 1.0, 'd0.loss_cls': 1.0, 'loss': 2.0, 'loss_cds_stage1': 0.5, 'grad_norm': 3.0}
    run = RunLog('a', [record(**losses)], [record(**{'coco/bbox_mAP_75': 0.1, 'coco/bbox_mAP': 0.2, 'time': 1.0})])
    other = RunLog('b', [record(loss_iou=1.0)], [record(my_metric=0.4)])
    assert choose_losses([run, other]) == ['loss', 'loss_cds_stage1', 'loss_cls', 'loss_iou']
    assert choose_losses([run], r'^d\d') == ['d0.loss_cls']
    assert choose_metrics([run, other]) == ['coco/bbox_mAP']
    assert choose_metrics([other]) == ['my_metric']
    assert choose_metrics([run, other], '75|my') == ['coco/bbox_mAP_75', 'my_metric']
    with pytest.raises(ValueError, match=r"losses='dice' matches none of loss_cls, "):
        choose_losses([run], 'dice')
    with pytest.raises(ValueError, match='is not a regular expression'):
        choose_metrics([run], '(')


def test_every_value_is_in_the_figure_and_the_best_is_named(tmp_path: Path) -> None:
    stock = RunLog('stock', [{'step': s, 'loss': 10.0 / s} for s in (1, 2, 3)], [{'step': 1, 'coco/bbox_mAP': 0.25}])
    cds = RunLog(
        'contrastive',
        [{'step': 1, 'loss': 3.0, 'loss_cds': 1.0}, {'step': 2, 'loss': math.nan, 'loss_cds': 0.5}],
        [{'step': 1, 'coco/bbox_mAP': 0.5}, {'step': 2, 'coco/bbox_mAP': 0.4}],
    )
    figure = plot_runs([stock, cds], ['coco/bbox_mAP'], ['loss', 'loss_cds'], smooth=1)
    metric, loss, contrast = figure.axes
    assert [axis.get_title() for axis in figure.axes] == ['box AP', 'loss', 'loss_cds']
    np.testing.assert_allclose(np.asarray(loss.lines[0].get_xydata(), float), np.array([[1, 10], [2, 5], [3, 10 / 3]]))
    np.testing.assert_allclose(np.asarray(contrast.lines[0].get_xydata(), float), np.array([[1, 1], [2, 0.5]]))
    assert {text.get_text() for text in metric.texts} == {'best 0.250 (epoch 1)', 'best 0.500 (epoch 1)'}
    assert [text.get_text() for text in loss.texts] == ['not finite from iteration 2']
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['stock', 'contrastive']
    path = save_figure(figure, tmp_path / 'new' / 'curves.png')
    assert path.read_bytes().startswith(b'\x89PNG')


def test_one_evaluation_is_at_a_whole_epoch(tmp_path: Path) -> None:
    train = [{'step': 1, 'loss': 1.0}]
    runs = [RunLog(name, train, [{'step': 10, 'coco/bbox_mAP': ap}]) for name, ap in (('stock', 0.41), ('CDS', 0.43))]
    figure = plot_runs(runs, ['coco/bbox_mAP'], [])
    save_figure(figure, tmp_path / 'curves.png')
    ticks = figure.axes[0].get_xticks()
    assert 10 in ticks
    assert all(tick == round(tick) for tick in ticks)


def test_nothing_and_too_much_are_errors() -> None:
    run = RunLog('a', [record(loss=1.0)])
    with pytest.raises(ValueError, match='nothing to draw'):
        plot_runs([run], [], [])
    with pytest.raises(ValueError, match='17 panels are more than 16'):
        plot_runs([run], [], [f'loss{i}' for i in range(17)])


def test_a_later_start_that_was_not_evaluated_replaces_earlier_evaluations(tmp_path: Path) -> None:
    """The later start is another training in the same folder, ended in its first epoch."""
    earlier = [train_line(50), val_line(1, 0.1), train_line(150), val_line(2, 0.2)]
    write(tmp_path / 'anew', '20260101_000000', earlier)
    write(tmp_path / 'anew', '20260102_000000', [train_line(50, loss=9.0)])
    run = read_run(tmp_path / 'anew')
    np.testing.assert_array_equal(run.series('loss'), [[50], [9]])
    assert run.val == []
    write(tmp_path / 'resumed', '20260101_000000', earlier)
    write(tmp_path / 'resumed', '20260102_000000', [train_line(200)])
    np.testing.assert_array_equal(read_run(tmp_path / 'resumed').series('coco/bbox_mAP'), [[1, 2], [0.1, 0.2]])
