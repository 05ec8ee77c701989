"""``python -m mmcds.doctor``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from .inventory import collect
from .problems import find_problems
from .report import to_json, to_text

EXAMPLE = """\
example:
  python -m mmcds.doctor
  python -m mmcds.doctor --json | python -c "import json, sys; print(json.load(sys.stdin)['stack'])"
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report.

    Returns:
        int: 0 if mmcds works here, 1 if something has to be mended first.
    """
    parser = argparse.ArgumentParser(
        prog='python -m mmcds.doctor',
        description='Show what is installed of what mmcds needs, what is wrong with it, and how to mend it. '
        'Exit status: 0 if all is right or there are warnings only, 1 if something is wrong.',
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--json', action='store_true', help='print the same as one JSON object')
    args = parser.parse_args(argv)
    inventory = collect()
    problems = find_problems(inventory)
    if args.json:
        json.dump(to_json(inventory, problems), sys.stdout, indent=2)
        print()
    else:
        print(to_text(inventory, problems))
    return int(any(problem.is_fatal for problem in problems))


if __name__ == '__main__':
    sys.exit(main())
