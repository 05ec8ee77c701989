"""The value of ``--cfg-options`` on a command line."""

import argparse
from typing import Any

from mmengine.config import DictAction


class CfgOptions(DictAction):
    """MMEngine's ``DictAction``, with a message for words that are no ``key=value``."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        """Add the options to those given before."""
        for word in values:
            key, sign, _ = word.partition('=')
            if not key or not sign:
                parser.error(f'{option_string}: {word!r} is no key=value; write it without spaces around the sign')
        super().__call__(parser, namespace, values, option_string)


def words_of(arguments: list[str], option: str) -> list[str]:
    """The words after every occurrence of an option on a command line, in their order.

    Args:
        arguments (list[str]): The command line.
        option (str): '--cfg-options', which may be followed by words or, after ``=``, by one.
    """
    found: list[str] = []
    inside = False
    for word in arguments:
        if word.startswith(f'{option}='):
            found.append(word.partition('=')[2])
            inside = False
        elif word.startswith('--'):
            inside = word == option
        elif inside:
            found.append(word)
    return found
