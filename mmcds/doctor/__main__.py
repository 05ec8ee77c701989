"""``python -m mmcds.doctor``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from .inventory import Inventory, collect
from .problems import Problem, find_problems

EXAMPLE = 'example: python -m mmcds.doctor --json | python -m json.tool'
REQUIREMENTS = {'default': ' (requirements.txt)', 'upstream': ' (requirements/upstream.txt)'}


def to_text(inventory: Inventory, problems: list[Problem]) -> str:
    """Format the report: installed packages, their stack, and each problem with the command that mends it."""
    rows = [('', 'version', 'from', ''), ('python', inventory.python, inventory.venv or '-', '')]
    for name, package in inventory.packages.items():
        state = 'not installed' if package.missing else 'does not import' if package.error else package.note
        rows.append((name, package.label or '-', ', '.join(package.distributions) or '-', state))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ['  '.join(map(str.ljust, row, [*widths, 0])).rstrip() for row in rows]
    lines += ['', f'stack: {inventory.stack}{REQUIREMENTS.get(inventory.stack, "")}']
    for is_fatal, word in ((True, 'problem'), (False, 'warning')):
        chosen = [problem for problem in problems if problem.is_fatal is is_fatal]
        lines += ['', f'{len(chosen)} {word}{"s" * (len(chosen) > 1)}:'] if chosen else []
        for number, problem in enumerate(chosen, 1):
            lines += [f'  {number}. {problem.text}', f'     mend it with: {problem.command}']
    if not any(problem.is_fatal for problem in problems):
        lines += ['', 'mmcds works here' if problems else 'all is right']
    return '\n'.join(lines)


def to_json(inventory: Inventory, problems: list[Problem]) -> str:
    """Format the report of :func:`to_text` as JSON; ``ok`` is true if the exit status is 0."""
    ok = not any(problem.is_fatal for problem in problems)
    found = {'ok': ok, 'stack': inventory.stack, **asdict(inventory), 'problems': [asdict(each) for each in problems]}
    return json.dumps(found, indent=2)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report. Returns 0 if mmcds works here, else 1."""
    parser = argparse.ArgumentParser(
        prog='python -m mmcds.doctor',
        description='Show what is installed of what mmcds needs, what is wrong with it, and how to mend it. '
        'Exit status: 0 if all is right or there are warnings only, 1 if something is wrong.',
        epilog=EXAMPLE,
    )
    parser.add_argument('--json', action='store_true', help='print the same as one JSON object')
    show = to_json if parser.parse_args(argv).json else to_text
    inventory = collect()
    problems = find_problems(inventory)
    print(show(inventory, problems))
    return int(any(problem.is_fatal for problem in problems))


if __name__ == '__main__':
    sys.exit(main())
