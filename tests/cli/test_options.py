"""``--cfg-options`` on a command line."""

import argparse

import pytest

from mmcds.cli.options import CfgOptions, words_of


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    made.add_argument('--cfg-options', nargs='+', action=CfgOptions)
    return made


@pytest.mark.parametrize('words', [['data_root=', '/x'], ['data_root', '=/x'], ['=1'], ['a=1', 'b']])
def test_a_word_that_is_no_pair_is_named(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(['--cfg-options', *words])
    said = capsys.readouterr().err.splitlines()[-1]
    assert 'is no key=value; write it without spaces around the sign' in said


def test_options_are_parsed_as_mmengine_does_and_given_several_times() -> None:
    args = parser().parse_args(['--cfg-options', 'a=1', 'b=[x,2]', '--cfg-options', 'c=u=v', 'd='])
    assert args.cfg_options == {'a': 1, 'b': ['x', 2], 'c': 'u=v', 'd': ''}


def test_words_are_those_of_all_occurrences() -> None:
    # argparse gives one word to the form with a sign.
    line = ['config.py', '--cfg-options', 'a=1', 'b=2', '--cds', '--cfg-options=c=3', 'd=4', '--work-dir', 'x']
    assert words_of(line, '--cfg-options') == ['a=1', 'b=2', 'c=3']
    assert words_of(['config.py'], '--cfg-options') == []
