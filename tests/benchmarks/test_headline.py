"""Values on their way from a benchmark to the table of all of them."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed.headline import Headline, machine, markdown_table, read_headlines, write_headlines


def test_median_and_spread_of_the_rounds() -> None:
    assert Headline.of('x', np.array([3.0, 1.0, 2.0, 10.0])) == Headline('x', 2.5, 1.0, 10.0)


def test_a_single_value_has_no_spread() -> None:
    assert Headline.of('x', 7) == Headline('x', 7.0, 7.0, 7.0)


def test_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'values.json'
    write_headlines(path, [Headline('a: b', 1.5, 1.0, 2.0)])
    assert read_headlines(path) == (machine(), {'a: b': Headline('a: b', 1.5, 1.0, 2.0)})


def test_nothing_is_written_where_nobody_asks(tmp_path: Path) -> None:
    written: list[str] = []

    def note(event: str, arguments: tuple) -> None:
        # 'open' is raised for every file that Python opens: path, mode, flags.
        if watching and event == 'open' and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            written.append(str(arguments[0]))

    watching = True
    sys.addaudithook(note)  # cannot be removed, so `watching` ends it
    try:
        write_headlines(None, [Headline('a', 1, 1, 1)])
        assert written == []
        # The hook sees a write.
        write_headlines(tmp_path / 'values.json', [Headline('a', 1, 1, 1)])
        assert written == [str(tmp_path / 'values.json')]
    finally:
        watching = False


def test_machine_names_no_host() -> None:
    assert 'threads' in machine()
    assert Path('/proc/sys/kernel/hostname').read_text().strip() not in machine().split()


def test_table() -> None:
    assert markdown_table(['a', 'b'], [['1', '2']]) == '| a | b |\n| --- | --- |\n| 1 | 2 |'
    with pytest.raises(TypeError):
        markdown_table(['a'], [[1]])  # type: ignore[list-item]
