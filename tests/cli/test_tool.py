"""What a tool prints, and with what it ends."""

import re
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import pytest
from torch.utils.data import DataLoader, Dataset

from mmcds.cli.tool import one_line, run
from mmcds.registry import HOOKS
from mmcds.utils.errors import check_count


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


def printed(main: Callable[[], Any], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a mistake."""
    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith('error: ')
    return lines[0].removeprefix('error: ')


def test_a_message_of_ours_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = printed(lambda: check_count('neck.queue_length', -1, 0), capsys)
    assert line == 'neck.queue_length=-1 is out of range; give a whole number, 0 or more'


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (FileNotFoundError(2, 'No such file or directory', 'x.json'), "[Errno 2] No such file or directory: 'x.json'"),
        (AssertionError('failed to load image: a.png'), 'failed to load image: a.png'),
    ],
)
def test_a_message_with_a_file_s_name_is_printed_as_it_is(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(raising(error), capsys) == line


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (KeyError('mask'), "KeyError: 'mask' is missing"),
        (KeyError(3), "KeyError: '3' is missing"),
        (KeyError('A is not in the mmdet::model registry'), 'KeyError: A is not in the mmdet::model registry'),
        (ValueError('need at least\n  one array'), 'ValueError: need at least one array'),
        (ImportError('No module named x'), 'ImportError: No module named x'),
        (UnpicklingError('invalid load key'), 'UnpicklingError: invalid load key'),
        (ValueError(), 'ValueError'),
    ],
)
def test_of_others_type_place_and_hint_are_printed_too(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(raising(error), capsys)
    assert re.fullmatch(
        re.escape(line) + r' \(in \S+test_tool\.py:\d+, main\); MMCDS_TRACEBACK=1 shows where it came from', found
    )


def test_an_argument_that_a_part_of_the_config_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    """A TypeError elsewhere is a bug; one while a part is built is the config's."""
    line = printed(lambda: HOOKS.build(dict(type='CDSHook', no_such=1)), capsys)
    assert line.startswith('TypeError: ')
    assert 'no_such' in line
    assert line.endswith('MMCDS_TRACEBACK=1 shows where it came from')


def test_a_message_of_ours_that_the_registry_repeats_is_printed_without_a_hint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = printed(lambda: HOOKS.build(dict(type='CDSHook', schedule=dict(decay='no'))), capsys)
    assert "schedule.decay='no' is not known" in line
    assert 'MMCDS_TRACEBACK' not in line


@pytest.mark.parametrize(
    ('error', 'remedy'),
    [
        (RuntimeError('DataLoader worker (pid 7) is killed by signal: Bus error.'), 'num_workers'),
        (
            ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's group"),
            'load_from=CHECKPOINT without --resume',
        ),
    ],
)
def test_what_others_say_gets_a_remedy(error: Exception, remedy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert remedy in printed(raising(error), capsys)


class Broken(Dataset):
    """Raises in the worker, on purpose or by a key that is not there."""

    def __init__(self, ours: bool) -> None:
        self.ours = ours

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return check_count('tau', -1, 0) if self.ours else dict[str, int]()['mask']


@pytest.mark.parametrize(
    ('ours', 'line'),
    [
        (True, r'ValueError: tau=-1 is out of range; give a whole number, 0 or more'),
        (False, r"KeyError: 'mask' \(in \S+test_tool\.py:\d+, __getitem__\); MMCDS_TRACEBACK=1 .*"),
    ],
)
def test_of_a_worker_s_error_the_place_in_the_worker(ours: bool, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.fullmatch(line, printed(lambda: list(DataLoader(Broken(ours), num_workers=1)), capsys))


@pytest.mark.parametrize('error', [RuntimeError('bug'), AssertionError('bug'), TypeError('bug'), AttributeError('bug')])
def test_a_bug_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error), match='bug'):
        run(raising(error))


def test_a_mistake_keeps_its_traceback_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MMCDS_TRACEBACK', '1')
    with pytest.raises(ValueError, match='where'):
        run(raising(ValueError('where')))


def test_interrupt_says_how_to_go_on(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        run(raising(KeyboardInterrupt()))
    assert ended.value.code == 130
    assert '--resume' in capsys.readouterr().err


def test_of_a_worker_s_error_only_the_last_line() -> None:
    text = (
        'Caught ValueError in worker process 0.\nOriginal Traceback (most recent call last):\n  File\nValueError: x\n'
    )
    assert one_line(ValueError(text)) == 'ValueError: x'


def test_success_ends_with_0() -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda: None)
    assert ended.value.code == 0
