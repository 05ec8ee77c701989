"""The table for a reader, and the same for a program."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .inventory import Inventory, Package
from .packages import PROVIDERS
from .problems import Problem

STACK_NOTES = {
    'default': 'default (the maintained distributions of requirements.txt)',
    'upstream': "upstream (OpenMMLab's own distributions, requirements/upstream.txt)",
    'none': 'none (no mm package is installed)',
    'MIXED': 'MIXED (distributions of both, which cannot be)',
}


def to_text(inventory: Inventory, problems: list[Problem]) -> str:
    """A table of what is installed, the stack that makes, and every problem with the command that mends it."""
    rows = [('', 'version', 'from', ''), ('python', inventory.python, inventory.venv or '-', '')]
    for name in PROVIDERS:
        package = inventory.packages[name]
        rows.append((name, package.label or '-', _provided(package), note(name, inventory)))
        if name == 'torch':
            rows.append(('GPU', *_gpu_cells(inventory)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ['  '.join(map(str.ljust, row, [*widths, 0])).rstrip() for row in rows]
    lines += ['', f'stack: {STACK_NOTES[inventory.stack]}']
    for is_fatal, word in ((True, 'problem'), (False, 'warning')):
        chosen = [problem for problem in problems if problem.is_fatal is is_fatal]
        if chosen:
            lines += ['', f'{len(chosen)} {word}{"s" if len(chosen) > 1 else ""}:']
        for number, problem in enumerate(chosen, 1):
            lines += [f'  {number}. {problem.text}', f'     mend it with: {problem.command}']
    if not any(problem.is_fatal for problem in problems):
        lines += ['', 'mmcds works here' if problems else 'all is right']
    return '\n'.join(lines)


def to_json(inventory: Inventory, problems: list[Problem]) -> dict[str, Any]:
    """What :func:`to_text` says, for ``json.dump``; ``ok`` is whether the exit status is 0."""
    return {
        'ok': not any(problem.is_fatal for problem in problems),
        'stack': inventory.stack,
        **asdict(inventory),
        'problems': [asdict(problem) for problem in problems],
    }


def note(name: str, inventory: Inventory) -> str:
    """The last column: what there is to say of a package beside its version."""
    package = inventory.packages[name]
    if package.is_missing:
        return 'not installed'
    if package.error:
        return 'does not import'
    if name == 'torch':
        return f'built for CUDA {package.facts["cuda"]}' if package.facts.get('cuda') else 'built for the CPU'
    if name == 'torchvision':
        return _torchvision_note(package)
    if name == 'mmcv':
        operators = inventory.packages['mmcv.ops']
        if operators.error:
            return 'operators: missing'
        return (
            f'operators: compiled for {"CUDA " + operators.facts["cuda"] if operators.facts.get("cuda") else "the CPU"}'
        )
    return ''


def _provided(package: Package) -> str:
    found = package.distributions
    show_versions = len(set(found.values())) > 1
    return ', '.join(f'{name} {found[name]}' if show_versions else name for name in found) or '-'


def _torchvision_note(package: Package) -> str:
    if package.facts.get('operators') == 'declared':
        return 'operators: declared, not compiled for this torch; transforms and models work'
    return 'operators: compiled'


def _gpu_cells(inventory: Inventory) -> tuple[str, str, str]:
    seen = inventory.packages['torch'].facts.get('gpus') or []
    names = sorted(set(seen or inventory.gpus))
    count = len(seen or inventory.gpus)
    if not count:
        return '-', '-', 'none seen'
    return str(count), ', '.join(names), 'used by torch' if seen else 'not used by torch'
