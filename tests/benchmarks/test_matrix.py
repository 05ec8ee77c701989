"""Matrix files: read as they are meant, and mistakes named."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.experiments.matrix import load_matrix

CONFIG = 'configs/classification/cifar10/resnet18.py'
GOOD: dict[str, Any] = dict(
    title='Toys',
    note='Of one\n  line.',
    seeds=[0, 3],
    metrics={'accuracy/top1': 'top-1'},
    arms=dict(
        base=dict(config=CONFIG),
        ours=dict(config=CONFIG, baseline='base', label='Ours', after=['base'], options=dict(load_from='{base}', a=1)),
    ),
)


def write(path: Path, **changes: Any) -> Path:
    content = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    path.write_text(''.join(f'{key} = {value!r}\n' for key, value in content.items()))
    return path


@pytest.fixture(autouse=True)
def _repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs are named relative to the repository."""
    monkeypatch.chdir(Path(__file__).resolve().parents[2])


def test_a_matrix_is_read(tmp_path: Path) -> None:
    matrix = load_matrix(write(tmp_path / 'toy_matrix.py'))
    assert (matrix.title, matrix.note, matrix.answer, matrix.seeds) == ('Toys', 'Of one\nline.', '', (0, 3))
    assert list(matrix.arms) == ['base', 'ours']
    base, ours = matrix.arms.values()
    assert (base.baseline, base.label, base.after, base.options) == ('base', 'base', (), {})
    assert (ours.baseline, ours.label, ours.after) == ('base', 'Ours', ('base',))
    assert ours.options == {'load_from': '{base}', 'a': 1}


def test_the_shipped_matrices_are_valid() -> None:
    shipped = sorted(Path('benchmarks/experiments').glob('*_matrix.py'))
    assert shipped
    for path in shipped:
        matrix = load_matrix(path)
        # Two are enough to choose what to look at again, not to say what helps.
        assert len(matrix.seeds) >= (2 if 'screening' in path.name else 3)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(sedes=[1]), r"toy_matrix\.py: field='sedes' is not known; nearest: seeds"),
        (
            dict(title=None),
            r"toy_matrix\.py: field 'title' is missing; a complete one has title, seeds, metrics, arms$",
        ),
        (
            dict(arms=dict(a=dict(config=CONFIG, optoins={}))),
            r"arm 'a': field='optoins' is not known; nearest: options",
        ),
        (dict(arms=dict(a=dict(label='A'))), r"arm 'a': field 'config' is missing"),
        (dict(arms=dict(a=dict(config='none.py'))), r"arm 'a', config='none\.py' does not exist$"),
        (dict(arms=dict(base=dict(config=CONFIG, after=['bas']))), r"arm 'base' names the arm='bas' is not known"),
        (dict(arms=dict(a=dict(config=CONFIG, baseline='b'))), r"arm 'a' names the arm='b' is not known; .*valid: a$"),
        (
            dict(arms=dict(a=dict(config=CONFIG), b=dict(config=CONFIG, options=dict(x='{a}')))),
            r"arm 'b', options\.x='a' is not known; valid: none; add it to after$",
        ),
        (dict(curves=[dict(title='A', x='b', line={})]), r"curve: field='line' is not known; nearest: lines"),
        (
            dict(curves=[dict(title='A', x='b', lines={'c': [(1, 'oars')]})]),
            r"curve 'A' names the arm='oars' is not known; valid: base, ours",
        ),
        (dict(rivals=[('ours', 'base', 'ours')]), r"rivals has .'ours', 'base', 'ours'.; give two arms, such as "),
        (
            dict(arms=dict(a=dict(config=CONFIG, seeds=[3, 4]))),
            r"arm 'a' has the seeds \[4\]; choose from seeds=\[0, 3\]",
        ),
        (dict(rivals=[('ours', 'bass')]), r"rivals names the arm='bass' is not known; nearest: base"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_matrix(write(tmp_path / 'toy_matrix.py', **changes))


def test_a_missing_matrix_names_those_that_are_there() -> None:
    with pytest.raises(
        FileNotFoundError, match=r"^matrix='none\.py' does not exist; there are: .*classification_matrix"
    ):
        load_matrix('none.py')
