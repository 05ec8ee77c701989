"""The numbers of a page, recomputed by hand."""

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np
import pytest

from benchmarks.experiments.matrix import Arm, Curve, Matrix
from benchmarks.experiments.page import (
    cost_table,
    curves_of,
    paired_difference,
    read_records,
    table,
    write_page,
)
from benchmarks.experiments.record import make_record, read_record, write_record
from benchmarks.experiments.runner import runs_of
from benchmarks.experiments.state import State

TOP1 = {'base': [40.0, 44.0, 45.0], 'ours': [43.0, 46.5, 46.0]}
TIMES = {'base': [[0.2, 9.0, 0.1], [0.3], [0.4]], 'ours': [[0.5], [0.6], [0.7]]}


@pytest.fixture
def matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Matrix:
    arms = {
        'base': Arm('base', 'a.py', {}, (), 'base', 'Base'),
        'ours': Arm('ours', 'b.py', {'x': 1}, (), 'base', 'Ours'),
    }
    for name, values in TOP1.items():
        for seed, value in enumerate(values):
            log = tmp_path / name / f'seed{seed}' / '20260101_000000' / 'vis_data'
            log.mkdir(parents=True)
            train = [{'lr': 0.1, 'epoch': 2, 'time': each, 'step': i + 1} for i, each in enumerate(TIMES[name][seed])]
            # An earlier evaluation, which was better: the last one counts.
            # The time of an evaluation is none of a training step.
            val = [{'accuracy/top1': value + 9 - 9 * (step == 2), 'time': 70.0, 'step': step} for step in (1, 2)]
            (log / 'scalars.json').write_text('\n'.join(json.dumps(each) for each in [*train, *val]) + '\n')
    monkeypatch.setattr('benchmarks.experiments.runner.digest_of', lambda *args: 'd')
    monkeypatch.setattr('benchmarks.experiments.runner.defaults_of', lambda *args: {})
    matrix = Matrix(tmp_path / 'toy_matrix.py', 'Toys', 'A note.', (0, 1, 2), {'accuracy/top1': 'top-1 (%)'}, arms)
    for run in runs_of(matrix, tmp_path):
        write_record(run.record, make_record(run.folder, run.arm, State('d', {}, seconds=90, memory=700), threads=1))
    return matrix


def rows(text: str) -> list[list[str]]:
    text = text.replace('\N{NO-BREAK SPACE}', ' ')
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in text.splitlines() if line.startswith('|')]


def test_every_number_by_hand(matrix: Matrix, tmp_path: Path) -> None:
    heads, _, base, ours = rows(table(matrix, read_records(matrix, tmp_path)))
    assert heads == ['arm', 'seeds', 'top-1 (%)', 'difference']
    assert base == ['Base', '3', f'{mean(TOP1["base"]):.2f} ± {stdev(TOP1["base"]):.2f}', '']
    differences = [b - a for a, b in zip(*TOP1.values(), strict=True)]
    # Student's t at 0.975 with two degrees of freedom, from a printed table.
    half = 4.302653 * stdev(differences) / math.sqrt(3)
    spread = f'{mean(TOP1["ours"]):.2f} ± {stdev(TOP1["ours"]):.2f}'
    assert ours == ['Ours', '3', spread, f'{mean(differences):+.2f} ± {half:.2f}']
    heads, _, *lines = rows(cost_table(matrix, read_records(matrix, tmp_path)))
    assert heads == ['arm', 's / iteration', 'minutes', 'MiB']
    seconds = {name: mean(median(run) for run in runs) for name, runs in TIMES.items()}
    assert lines == [[arm.label, f'{seconds[arm.name]:.3f}', '1.5', '700'] for arm in matrix.arms.values()]


def test_unfinished_runs_do_not_count_and_pairs_are_of_the_same_seed(matrix: Matrix, tmp_path: Path) -> None:
    (tmp_path / 'records/toy/base/seed0.json').unlink()
    _, _, base, ours = rows(table(matrix, read_records(matrix, tmp_path)))
    assert (base[1], ours[1]) == ('2', '3')
    # Two pairs have no interval worth the name.
    assert ours[3] == f'{mean([46.5 - 44.0, 46.0 - 45.0]):+.2f}'
    (tmp_path / 'records/toy/base/seed1.json').unlink()
    _, _, base, ours = rows(table(matrix, read_records(matrix, tmp_path)))
    assert base[2] == '45.00'
    assert ours[3] == '+1.00'
    (tmp_path / 'records/toy/base/seed2.json').unlink()
    assert [row[0] for row in rows(table(matrix, read_records(matrix, tmp_path)))[2:]] == ['Ours']
    assert rows(table(matrix, read_records(matrix, tmp_path)))[2][3] == ''


def test_the_page_says_how_it_was_made(matrix: Matrix, tmp_path: Path) -> None:
    page = write_page(matrix, tmp_path, tmp_path / 'page.md')
    assert (tmp_path / 'page.md').read_text() == page + '\n'
    assert page.startswith('# Toys\n')
    assert '6 of 6 runs, on ' in page
    assert f'`python benchmarks/experiments/run.py {matrix.path} --out PAGE` wrote this page.' in page
    assert '](page.png)' in page
    assert (tmp_path / 'page.png').stat().st_size > 1000
    assert 'A note.' in page
    assert '- Ours (`ours`): `python tools/train.py b.py --cfg-options randomness.seed=SEED x=1`' in page
    assert 'to repeat a row, remove its folder `' in page
    assert 'records/toy/NAME`' in page
    assert 'prepares them' not in page
    assert 'For a name in braces' not in page
    arms = {**matrix.arms, 'late': Arm('late', 'c.py', {}, ('ours',), 'base', 'Late', backbone='ours')}
    for seed in range(3):
        record = read_record(tmp_path / f'records/toy/ours/seed{seed}.json')
        write_record(tmp_path / f'records/toy/late/seed{seed}.json', replace(record, config='c.py', options={}))
    page = write_page(replace(matrix, arms=arms, prepare='{python} make.py out'), tmp_path, tmp_path / 'page.md')
    assert ' `python make.py out` prepares them for the commands below.' in page
    assert 'For a name in braces, put the last checkpoint of that arm and seed.' in page
    assert "--cfg-options randomness.seed=SEED 'load_from={ours}'`" in page
    for seed in range(3):
        (tmp_path / f'records/toy/late/seed{seed}.json').unlink()
    # A command is no use where nothing came of it.
    assert 'c.py' not in write_page(replace(matrix, arms=arms), tmp_path, tmp_path / 'page.md')
    assert table(matrix, read_records(matrix, tmp_path)) in page


def test_curves_are_of_what_has_run(matrix: Matrix, tmp_path: Path) -> None:
    arms = {**matrix.arms, 'late': Arm('late', 'c.py', {}, (), 'late', 'Late')}
    lines = {'a line': ((10, 'base'), (20, 'ours'), (40, 'late')), 'a point': ((10, 'base'), (40, 'late'))}
    matrix = replace(matrix, arms=arms, curves=(Curve('A title', 'x (%)', lines),))
    ((title, x, drawn),) = curves_of(matrix, read_records(matrix, tmp_path))
    assert (title, x, list(drawn)) == ('A title', 'x (%)', ['a line'])
    expected = [(place, mean(TOP1[name]), stdev(TOP1[name])) for place, name in ((10, 'base'), (20, 'ours'))]
    assert np.allclose(drawn['a line'], expected)
    page = write_page(matrix, tmp_path, tmp_path / 'page.md')
    assert '![top-1 (%) against x (%), with s.d. over the seeds that all points share](page_curves.png)' in page
    assert (tmp_path / 'page_curves.png').stat().st_size > 1000
    # All points of the same seeds.
    (tmp_path / 'records/toy/ours/seed1.json').unlink()
    ((_, _, drawn),) = curves_of(matrix, read_records(matrix, tmp_path))
    expected = [
        (place, mean(values[::2]), stdev(values[::2])) for place, values in zip((10, 20), TOP1.values(), strict=True)
    ]
    assert np.allclose(drawn['a line'], expected)
    nothing = replace(matrix, curves=(Curve('A title', 'x', {'a point': lines['a point']}),))
    assert '_curves.png' not in write_page(nothing, tmp_path, tmp_path / 'other.md')


def test_one_pair_has_no_interval() -> None:
    middle, half = paired_difference([3.0], [1.0])
    assert middle == 2
    assert math.isnan(half)
    assert all(math.isnan(each) for each in paired_difference([], []))


def test_coco_s_fractions_are_points_and_an_arm_may_log_something_else(matrix: Matrix, tmp_path: Path) -> None:
    for seed, value in enumerate((0.41, 0.45)):
        path = tmp_path / f'records/toy/ours/seed{seed}.json'
        write_record(path, replace(read_record(path), metrics={'coco/bbox_mAP': value}))
    both = replace(matrix, metrics={'accuracy/top1': 'top-1 (%)', 'coco/bbox_mAP': 'AP (%)'})
    _, _, base, ours = rows(table(both, read_records(both, tmp_path)))
    assert base[4:6] == ['', '']
    assert ours[2:6] == ['46.00', '+1.00', f'43.00 ± {stdev([41, 45]):.2f}', '']


def test_a_metric_that_nobody_logged_is_named_with_the_nearest(matrix: Matrix, tmp_path: Path) -> None:
    wrong = replace(matrix, metrics={'accuracy/top2': 'x'})
    with pytest.raises(ValueError, match=r"metrics='accuracy/top2'.*accuracy/top1"):
        table(wrong, read_records(wrong, tmp_path))


def test_arms_are_compared_with_rivals_that_are_no_baseline(matrix: Matrix, tmp_path: Path) -> None:
    page = write_page(matrix, tmp_path, tmp_path / 'page.md')
    assert 'Paired differences to other arms' not in page
    arms = {**matrix.arms, 'late': Arm('late', 'c.py', {}, (), 'late', 'Late')}
    matrix = replace(matrix, arms=arms, rivals=(('base', 'ours'), ('ours', 'late')))
    page = write_page(matrix, tmp_path, tmp_path / 'page.md')
    # What is to be compared with an arm that has not run is left out.
    _, _, line = rows(page.partition('Paired differences to other arms')[2].partition('![')[0])
    differences = [a - b for a, b in zip(*TOP1.values(), strict=True)]
    half = 4.302653 * stdev(differences) / math.sqrt(3)
    assert line == ['Base', 'Ours', '3', f'{mean(differences):+.2f} ± {half:.2f}']
