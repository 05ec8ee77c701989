"""What a tool prints, and with what it ends."""

from collections.abc import Callable
from types import ModuleType

import pytest
from mmengine.config import Config

from mmcds.utils.cli import host_tool, one_line, prepared, run


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (ValueError('tau=0 is\n   out of range'), 'error: tau=0 is out of range'),
        (KeyError('no such key'), 'error: no such key'),
        (FileNotFoundError('x.json'), 'error: x.json'),
        (AssertionError('failed to load image: a.png'), 'error: failed to load image: a.png'),
    ],
)
def test_a_mistake_is_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        run(raising(error))
    assert ended.value.code == 2
    assert capsys.readouterr().err.strip() == line


@pytest.mark.parametrize('error', [RuntimeError('bug'), AssertionError('bug')])
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


@pytest.mark.parametrize('name', ['train.py', 'test.py'])
@pytest.mark.parametrize('package', ['mmdet', 'mmpretrain'])
def test_host_tools_are_what_they_are_taken_for(package: str, name: str) -> None:
    """Both read their config through a module-level Config.fromfile, which prepared() replaces."""
    host = host_tool(package, name)
    assert host.Config is Config
    assert callable(host.main)


def test_host_tool_missing() -> None:
    with pytest.raises(FileNotFoundError, match=r'mmdet does not ship \.mim/tools/nothing\.py'):
        host_tool('mmdet', 'nothing.py')


def test_prepared_puts_back_what_it_changed() -> None:
    import sys

    host = ModuleType('host')
    host.Config = Config  # type: ignore[attr-defined]
    cfg, argv = Config({'a': 1}), list(sys.argv)
    with prepared(host, cfg, ['x.py', '--amp']):
        assert host.Config.fromfile('anything') is cfg
        assert sys.argv[1:] == ['x.py', '--amp']
    assert host.Config is Config
    assert sys.argv == argv
