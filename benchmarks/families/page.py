"""The page that says which families work."""

import os
from collections.abc import Sequence
from importlib.metadata import packages_distributions, version

from .choose import folder_of, package_of
from .walk import WORKS, FamilyResult

_TEXT = """\
A *family* is a folder of configs, *taps* are the supervised outputs, *s* is seconds for all steps of a family.
One config of every folder that the packages ship is shrunk to toy size (random weights, small images, few queries and
proposals). It takes one training step, stock and with CDS as `add_cds` adds it, with the same weights, batch and seed.
*works* in the column CDS means:

- the CDS model has every key of the stock's state dict in the same shape;
- its task losses are the stock's to the last bit;
- every parameter that had a gradient has one;
- all losses are finite, and the contrast is above 0;
- the buffers (running statistics) end as the stock's."""


def families_page(results: Sequence[FamilyResult], arguments: Sequence[str], seconds: float, jobs: int) -> str:
    """The page, in Markdown.

    Args:
        results (Sequence[FamilyResult]): In the order of the table.
        arguments (Sequence[str]): Those of the command that made them.
        seconds (float): How long it took.
        jobs (int): In how many processes.
    """
    import torch

    command = ' '.join(['python', 'benchmarks/families/run.py', *arguments])
    packages = list(dict.fromkeys(package_of(each.family) for each in results))
    steps = [each for each in results if each.config and each.stock == WORKS]
    works = sum(each.cds == WORKS for each in steps)
    refused = sum(each.cds.startswith('refused') for each in steps)
    parts = [
        '# Families of configs',
        f'CDS works for {works} of the {len(steps)} folders whose stock model takes a training step here. It refuses '
        f'{refused}, which are named below, and {len(steps) - works - refused} fail.',
        f'Written by `{command}`: {", ".join(map(distribution, packages))}, torch {torch.__version__}, {seconds:.0f} s '
        f'in {jobs} processes on {os.cpu_count()} CPU cores.',
        _TEXT,
    ]
    for package in packages:
        parts += _section(package, [each for each in results if package_of(each.family) == package])
    return '\n\n'.join(parts) + '\n'


def _section(package: str, results: Sequence[FamilyResult]) -> list[str]:
    """The paragraphs of a package: heading, summary and table."""
    rows = [
        f'| {folder_of(each.family)} | {each.config.rpartition("/")[2].removesuffix(".py")} | {cell(each.stock)} | '
        f'{cell(each.cds)} | {" ".join(each.taps)} | {each.seconds:.1f} |'
        for each in results
    ]
    return [
        f'## {package}',
        '\n'.join(f'- {line}' for line in summary(results)),
        '\n'.join(['| family | config | stock | CDS | taps | s |', '|---|---|---|---|---|---|', *rows]),
    ]


def summary(results: Sequence[FamilyResult]) -> list[str]:
    """Counts of the outcomes of a package, one line each."""
    models = [each for each in results if each.config]
    steps = [each for each in models if each.stock == WORKS]
    refused = [folder_of(each.family) for each in steps if each.cds.startswith('refused')]
    failed = [folder_of(each.family) for each in steps if each.cds.startswith('fails')]

    def named(names: list[str]) -> str:
        return f'{len(names)}' + (f' ({", ".join(names)})' if names else '')

    return [
        f'folders: {len(results)}, with a model of their own: {len(models)}',
        f'the stock model takes its step: {len(steps)}; it does not: '
        + named([folder_of(each.family) for each in models if each.stock != WORKS]),
        f'CDS works: {sum(each.cds == WORKS for each in steps)}; refused: {named(refused)}; fails: {named(failed)}',
    ]


def is_wrong(result: FamilyResult) -> bool:
    """Whether CDS failed on a family without saying so before the model was built."""
    return result.cds.startswith('fails')


def cell(text: str) -> str:
    """Text that may stand in a cell of a table."""
    return text.replace('|', '\\|')


def distribution(package: str) -> str:
    """Name and version of the distribution that an importable package came with."""
    name = packages_distributions()[package][0]
    return f'{name} {version(name)}'
