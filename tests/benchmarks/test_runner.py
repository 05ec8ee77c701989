"""The driver with a training that takes no time: order, resuming, failures, equal starts."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from classifiers import classifier_config

from benchmarks.experiments import run as driver
from benchmarks.experiments import runner
from benchmarks.experiments.matrix import Matrix, load_matrix
from benchmarks.experiments.record import read_record, write_record
from benchmarks.experiments.runner import run_all, runs_of
from benchmarks.experiments.state import read_state, write_state
from mmcds import add_cds

#: Notes how it was called, writes what a run leaves behind, and fails where it is told to.
TRAIN = """
import json, os, sys
from pathlib import Path
arguments = sys.argv[1:]
work = Path(arguments[arguments.index('--work-dir') + 1])
options = dict(each.split('=', 1) for each in arguments[arguments.index('--cfg-options') + 1 :])
with open('calls.jsonl', 'a') as file:
    file.write(json.dumps(dict(config=arguments[0], work=str(work), options=options, resume='--resume' in arguments,
                               threads=os.environ['OMP_NUM_THREADS'])) + '\\n')
if Path('fail').exists() and Path('fail').read_text() in str(work):
    sys.exit('no space left')
(work / 'time' / 'vis_data').mkdir(parents=True, exist_ok=True)
top1 = 50 + int(options['randomness.seed']) + 5 * ('cds' in arguments[0])
lines = [dict(lr=0.1, time=0.25, step=1), {'accuracy/top1': top1, 'step': 1}]
(work / 'time' / 'vis_data' / 'scalars.json').write_text('\\n'.join(map(json.dumps, lines)))
(work / 'last_checkpoint').write_text(str(work / 'epoch_1.pth'))
"""


@pytest.fixture
def matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Matrix:
    """Two arms, two seeds; the second arm wants the first one's checkpoint."""
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools/train.py').write_text(TRAIN)
    classifier_config().dump(tmp_path / 'base.py')
    add_cds(classifier_config()).dump(tmp_path / 'cds.py')
    arms = dict(
        base=dict(config='base.py'),
        cds=dict(config='cds.py', baseline='base', after=['base'], options=dict(teacher_checkpoint='{base}')),
    )
    content = dict(title='Toys', seeds=[4, 7], metrics={'accuracy/top1': 'top-1'}, arms=arms, prepare='echo > prepared')
    (tmp_path / 'toy_matrix.py').write_text(''.join(f'{key} = {value!r}\n' for key, value in content.items()))
    monkeypatch.setattr(runner, 'ROOT', tmp_path)
    monkeypatch.setattr(runner.time, 'sleep', lambda seconds: None)
    monkeypatch.chdir(tmp_path)
    return load_matrix('toy_matrix.py')


def calls(tmp_path: Path) -> list[dict[str, Any]]:
    file = tmp_path / 'calls.jsonl'
    found = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    file.unlink(missing_ok=True)
    return found


def test_runs_all_and_none_twice(matrix: Matrix, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    work = tmp_path / 'work'
    assert run_all(matrix, work, jobs=1, threads=3) == []
    made = calls(tmp_path)
    assert [(call['config'], call['options']['randomness.seed']) for call in made] == [
        ('base.py', '4'), ('cds.py', '4'), ('base.py', '7'), ('cds.py', '7'),
    ]  # fmt: skip
    assert {call['threads'] for call in made} == {'3'}
    assert all(call['resume'] for call in made)
    for call in made[1::2]:
        seed = call['options']['randomness.seed']
        assert call['options']['teacher_checkpoint'] == str(work / f'base/seed{seed}/epoch_1.pth')
    # The same initial weights for both arms of a seed, others for the other seed.
    starts = [call['options']['load_from'] for call in made]
    assert starts[0] == starts[1] != starts[2] == starts[3]
    assert all(run.done for run in runs_of(matrix, work))
    record = read_record(tmp_path / 'records/toy/cds/seed7.json')
    assert (record.config, record.options) == ('cds.py', {'teacher_checkpoint': '{base}'})
    assert (record.metrics, record.iteration) == ({'accuracy/top1': 62}, 0.25)
    # The run's own: the driver, which holds torch, has several times as much.
    assert 3 < record.memory < 100
    assert record.machine.endswith(', 3 threads')
    assert 'cds seed 7: finished' in capsys.readouterr().out

    assert run_all(matrix, work, jobs=2, threads=1) == []
    assert calls(tmp_path) == []
    printed = capsys.readouterr().out
    assert '4 of 4 runs are finished\n0 to go' in printed
    assert 'wait for' not in printed
    (tmp_path / 'records/toy/cds/seed4.json').unlink()
    run_all(matrix, work, jobs=2, threads=1)
    (again,) = calls(tmp_path)
    assert again['work'] == str(work / 'cds/seed4')
    # Of its own seed, also when both are there.
    assert again['options']['teacher_checkpoint'] == str(work / 'base/seed4/epoch_1.pth')


def test_a_failing_run_is_reported_and_what_waits_for_it_is_not_run(
    matrix: Matrix, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / 'fail').write_text('base/seed4')
    work = tmp_path / 'work'
    failed = run_all(matrix, work, jobs=1, threads=1)
    assert [run.name for run in failed] == ['base seed 4', 'cds seed 4']
    assert [(call['config'], call['options']['randomness.seed']) for call in calls(tmp_path)] == [
        ('base.py', '4'), ('base.py', '7'), ('cds.py', '7'),
    ]  # fmt: skip
    printed = capsys.readouterr().out
    assert f'base seed 4: FAILED, see {work / "base/seed4/log"}' in printed
    assert '1 runs wait for arms that failed' in printed
    assert 'no space left' in (work / 'base/seed4/log').read_text()
    # Mended, only these two are run.
    (tmp_path / 'fail').unlink()
    assert run_all(matrix, work, jobs=1, threads=1) == []
    assert [call['options']['randomness.seed'] for call in calls(tmp_path)] == ['4', '4']


def test_initial_weights_are_the_stock_model_s(matrix: Matrix, tmp_path: Path) -> None:
    run_all(matrix, tmp_path / 'work', jobs=1, threads=1, arms=['base'])
    assert [call['config'] for call in calls(tmp_path)] == ['base.py', 'base.py']
    paths = [next((tmp_path / 'work/init').glob(f'base_*_seed{seed}.pth')) for seed in (4, 7)]
    first, second = (torch.load(path, weights_only=True) for path in paths)
    assert not [name for name in first['state_dict'] if 'cds' in name]
    assert list(first['state_dict']) == list(second['state_dict'])
    name = 'backbone.layer4.1.conv2.weight'
    assert not torch.equal(first['state_dict'][name], second['state_dict'][name])
    assert first['state_dict'][name].std() > 0.01
    kept = paths[0].stat().st_mtime_ns
    run_all(matrix, tmp_path / 'work', jobs=1, threads=1)
    assert paths[0].stat().st_mtime_ns == kept


def test_a_backbone_from_another_arm(matrix: Matrix, tmp_path: Path) -> None:
    text = Path('toy_matrix.py').read_text().replace("'after': ['base'], ", "'backbone': 'base', ")
    Path('toy_matrix.py').write_text(text.replace("{'teacher_checkpoint': '{base}'}", '{}'))
    train = tmp_path / 'tools/train.py'
    saves = "import torch; torch.save({'state_dict': {k: v + 1 for k, v in torch.load(options['load_from'], " \
        "weights_only=True)['state_dict'].items()}}, work / 'epoch_1.pth')\n"  # fmt: skip
    train.write_text(train.read_text() + saves)
    matrix = load_matrix('toy_matrix.py')
    assert matrix.arms['cds'].after == ('base',)
    assert run_all(matrix, tmp_path / 'work', jobs=1, threads=1) == []
    start = {call['config']: call['options']['load_from'] for call in calls(tmp_path)[:2]}
    random, given = (torch.load(start[name], weights_only=True)['state_dict'] for name in ('base.py', 'cds.py'))
    assert list(random) == list(given)
    assert {key for key in random if not torch.equal(random[key], given[key])} == {
        key for key in random if key.startswith('backbone.')
    }
    assert torch.equal(given['backbone.conv1.weight'], random['backbone.conv1.weight'] + 1)


def test_records_alone_are_enough_and_a_checkpoint_that_is_missing_is_made_again(
    matrix: Matrix, tmp_path: Path
) -> None:
    run_all(matrix, tmp_path / 'work', jobs=1, threads=1)
    calls(tmp_path)
    # As on another machine: nothing but the repository.
    other = tmp_path / 'other'
    assert run_all(matrix, other, jobs=1, threads=1) == []
    assert calls(tmp_path) == []
    (tmp_path / 'records/toy/cds/seed7.json').unlink()
    assert run_all(matrix, other, jobs=1, threads=1) == []
    assert [(call['config'], call['options']['randomness.seed']) for call in calls(tmp_path)] == [
        ('base.py', '7'), ('cds.py', '7'),
    ]  # fmt: skip


def test_an_arm_with_seeds_of_its_own(matrix: Matrix, tmp_path: Path) -> None:
    text = Path('toy_matrix.py').read_text()
    text = text.replace("'baseline': 'base'", "'baseline': 'base', 'seeds': [7]")
    Path('toy_matrix.py').write_text(text)
    assert [run.name for run in runs_of(load_matrix('toy_matrix.py'), tmp_path)] == [
        'base seed 4', 'base seed 7', 'cds seed 7',
    ]  # fmt: skip
    Path('toy_matrix.py').write_text(text.replace("{'config': 'base.py'}", "{'config': 'base.py', 'seeds': [4]}"))
    with pytest.raises(ValueError, match=r"arm 'cds' needs 'base' with the seeds \[7\], which it lacks"):
        load_matrix('toy_matrix.py')


@pytest.mark.parametrize('what', ['options', 'content', 'defaults'])
def test_a_finished_run_of_another_experiment_is_not_taken_for_this_one(
    matrix: Matrix, tmp_path: Path, what: str
) -> None:
    work = tmp_path / 'work'
    run_all(matrix, work, jobs=1, threads=1)
    if what == 'options':
        text = Path('toy_matrix.py').read_text()
        Path('toy_matrix.py').write_text(text.replace("'{base}'", "'{base}', 'a': 1"))
        message = "the matrix says .*'a': 1"
    elif what == 'defaults':
        record = read_record(tmp_path / 'records/toy/cds/seed4.json')
        # The recipe of a classifier names a sampler, but nothing of it, and no queue.
        assert record.defaults['queue_length'] == 0
        assert record.defaults['loss.temperature'] == 0.07
        assert 'loss_weight' not in record.defaults
        # One that has come since or gone is none that has changed.
        defaults = {**record.defaults, 'queue_length': 5, 'gone': 1, 'recompute': True}
        del defaults['loss.temperature']
        write_record(tmp_path / 'records/toy/cds/seed4.json', replace(record, defaults=defaults))
        message = "defaults of the necks have changed since, which were {'queue_length': 5}; remove .*seed4.json"
    else:
        Path('cds.py').write_text(Path('cds.py').read_text() + '\nextra = 1\n')
        message = 'the content of cds.py, of what it inherits or .* has changed; remove .*seed4.json'
    with pytest.raises(ValueError, match=message):
        run_all(load_matrix('toy_matrix.py'), work, jobs=1, threads=1)


def test_an_unfinished_run_is_not_resumed_as_another_experiment(matrix: Matrix, tmp_path: Path) -> None:
    (tmp_path / 'fail').write_text('base/seed4')
    assert [run.name for run in run_all(matrix, tmp_path / 'work', 1, 1, ['base'])] == ['base seed 4']
    (tmp_path / 'fail').unlink()
    Path('base.py').write_text(Path('base.py').read_text() + '\nextra = 1\n')
    with pytest.raises(ValueError, match=r'^base seed 4 was begun as another experiment .*; remove .*seed4 to begin'):
        run_all(matrix, tmp_path / 'work', jobs=1, threads=1)


def test_a_run_that_was_killed_while_it_was_evaluated(
    matrix: Matrix, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Resumed, it has nothing to train, evaluates nothing and ends well; an earlier evaluation is not its result."""
    train = tmp_path / 'tools/train.py'
    whole = train.read_text()
    train.write_text(whole.replace('dict(lr=0.1, time=0.25, step=1)', 'dict(lr=0.1, time=0.25, epoch=2, step=9)'))
    failed = run_all(matrix, tmp_path / 'work', 1, 1, ['base'])
    assert [run.name for run in failed] == ['base seed 4', 'base seed 7']
    assert 'FAILED: ' in (printed := capsys.readouterr().out)
    assert 'no evaluation of its last checkpoint' in printed
    assert not any(run.has_checkpoint or run.done for run in failed)


def test_time_is_counted_over_all_starts(matrix: Matrix, tmp_path: Path) -> None:
    (tmp_path / 'fail').write_text('base/seed4')
    work = tmp_path / 'work'
    run_all(matrix, work, 1, 1, ['base'])
    first = read_state(work / 'base/seed4')
    assert not first.finished
    write_state(work / 'base/seed4', replace(first, seconds=500, memory=900))
    (tmp_path / 'fail').unlink()
    run_all(matrix, work, 1, 1, ['base'])
    record = read_record(tmp_path / 'records/toy/base/seed4.json')
    assert 500 <= record.seconds < 600
    assert record.memory == 900
    assert read_state(work / 'base/seed4').finished


def command(matrix: Matrix, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, 'argv', ['run.py', 'toy_matrix.py', '--work-dir', 'work', '--jobs', '1', *arguments])
    # It goes to the repository, which stands elsewhere here.
    monkeypatch.setattr(driver.os, 'chdir', lambda path: None)
    return driver.main()


def test_the_command_writes_the_page_and_says_by_its_code_whether_all_went_well(
    matrix: Matrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'fail').write_text('cds/seed7')
    assert command(matrix, monkeypatch) == 1
    assert (tmp_path / 'prepared').is_file()
    page = (tmp_path / 'work/results.md').read_text().replace('\N{NO-BREAK SPACE}', ' ')
    assert '3 of 4 runs' in page
    assert '| cds | 1 | 59.00 | +5.00 |' in page
    assert '| cds | 0.250 |' in page
    (tmp_path / 'fail').unlink()
    calls(tmp_path)
    assert command(matrix, monkeypatch, '--page-only') == 0
    assert calls(tmp_path) == []
    assert command(matrix, monkeypatch, '--out', 'page.md') == 0
    page = (tmp_path / 'page.md').read_text().replace('\N{NO-BREAK SPACE}', ' ')
    # By hand: 50 + seed, and five more with CDS.
    assert '| base | 2 | 55.50 ± 2.12 |  |' in page
    assert '| cds | 2 | 60.50 ± 2.12 | +5.00 |' in page
    # Where nothing is left to run no data is asked for.
    (tmp_path / 'prepared').unlink()
    assert command(matrix, monkeypatch) == 0
    assert not (tmp_path / 'prepared').exists()
    with pytest.raises(ValueError, match=r"^--arms='bas' is not known; nearest: base"):
        command(matrix, monkeypatch, '--arms', 'bas')


def test_an_arm_is_another_experiment_where_what_it_starts_from_is(matrix: Matrix, tmp_path: Path) -> None:
    run_all(matrix, tmp_path / 'work', jobs=1, threads=1)
    text = Path('toy_matrix.py').read_text()
    Path('toy_matrix.py').write_text(
        text.replace("{'config': 'base.py'}", "{'config': 'base.py', 'options': {'a': 1}}")
    )
    other = load_matrix('toy_matrix.py')
    assert other.arms['base'].options == {'a': 1}
    dependent = [run for run in runs_of(other, tmp_path / 'work') if run.arm.name == 'cds']
    with pytest.raises(ValueError, match=r'cds seed 4 was run with.* an arm that it starts from has changed; remove'):
        runner.check_unchanged(other, dependent)
    runner.check_unchanged(matrix, dependent)
