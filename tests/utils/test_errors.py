"""Messages, letter by letter."""

from typing import Any

import pytest

from mmcds.utils.errors import check_count, check_flag, check_range, unknown_name


@pytest.mark.parametrize(
    ('value', 'valid', 'remedy', 'message'),
    [
        (
            'linaer',
            ['constant', 'linear', 'cosine'],
            '',
            "a.b='linaer' is not known; nearest: linear, cosine; valid: constant, linear, cosine",
        ),
        ('x', ['constant', 'linear'], '', "a.b='x' is not known; valid: constant, linear"),
        ('x', [], 'add one', "a.b='x' is not known; valid: none; add one"),
        (3, [1, 2], 'give 1', 'a.b=3 is not known; valid: 1, 2; give 1'),
    ],
)
def test_unknown_name(value: Any, valid: list[Any], remedy: str, message: str) -> None:
    error = unknown_name('a.b', value, valid, remedy)
    assert isinstance(error, ValueError)
    assert str(error) == message


@pytest.mark.parametrize('value', [0, 0.5, 1, True - 1])
def test_check_range_gives_back_what_is_in_it(value: float) -> None:
    assert check_range('a', value, 0, 1) == value


@pytest.mark.parametrize('value', [-1e-9, 1.1, float('nan'), float('inf'), '1', None, True, [1]])
def test_check_range_refuses_the_rest(value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        check_range('part.field', value, 0, 1)
    assert str(caught.value) == f'part.field={value!r} is out of range; give a number in [0, 1]'


@pytest.mark.parametrize('value', [1, 0.0, 2.5, 3.0, float('inf'), '3', None, True])
def test_check_count_refuses_what_is_no_whole_number_or_too_small(value: Any) -> None:
    assert check_count('a', 2, 2) == 2
    with pytest.raises(ValueError) as caught:
        check_count('part.field', value, 2)
    assert str(caught.value) == f'part.field={value!r} is out of range; give a whole number, 2 or more'


@pytest.mark.parametrize('value', ['off', 'no', 'false', 0, 1, 1.0, None, []])
def test_check_flag_refuses_all_but_true_and_false(value: Any) -> None:
    assert [check_flag('a', flag) for flag in (True, False)] == [True, False]
    with pytest.raises(ValueError) as caught:
        check_flag('part.field', value)
    assert str(caught.value) == f'part.field={value!r} is neither True nor False; give one of them'


def test_an_open_end() -> None:
    assert check_range('a', 1e-9, 0, open_low=True) == 1e-9
    with pytest.raises(ValueError, match=r'^a=0 is out of range; give a number in \(0, inf\)$'):
        check_range('a', 0, 0, open_low=True)
