"""Take one toy training step of one config of every family that the installed mmdet ships, stock and with CDS.

A family is a folder of mmdet's configs. With the same weights, batch and seeds, the CDS version must keep
the stock's weight names, gradients and, to the last bit, task losses, and add losses above 0.

Examples:
  python benchmarks/families/run.py
  python benchmarks/families/run.py retinanet fcos detr
"""

import argparse
import gc
import logging
import os
import sys
import time
import warnings
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run

if TYPE_CHECKING:
    from benchmarks.families import FamilyResult


def walk(name: str) -> 'FamilyResult':
    """One family, quietly, on one thread."""
    import torch

    from benchmarks.families import walk_family

    torch.set_num_threads(1)
    warnings.filterwarnings('ignore')
    logging.disable(logging.WARNING)
    result = walk_family(name)
    gc.collect()
    return result


def main() -> int:
    """Print the outcome of each family, and write the page of all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('families', nargs='*', help='folders of mmdet configs (default all)')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1, help='processes (default one per core)')
    parser.add_argument('--out', help='the Markdown page (default docs/families.md for all families, else none)')
    args = parser.parse_args()
    from benchmarks.families import list_families
    from benchmarks.families.choose import family_of
    from benchmarks.families.page import families_page, is_wrong

    try:
        names = [family_of(name).name for name in args.families] or [each.name for each in list_families()]
    except ValueError as error:
        # Raised by the tool itself, so that it is printed without the place where it was found out.
        raise ValueError(str(error)) from None
    start, results = time.perf_counter(), []
    # Spawned, and new ones now and then: what some models leave behind would add up to gigabytes.
    with get_context('spawn').Pool(args.jobs, maxtasksperchild=16) as pool:
        for result in pool.imap(walk, names):
            print(f'{result.family}: stock {result.stock}; CDS {result.cds} ({result.seconds:.1f} s)', flush=True)
            results.append(result)
    out = args.out or (None if args.families else 'docs/families.md')
    if out:
        Path(out).write_text(families_page(results, sys.argv[1:], time.perf_counter() - start, args.jobs))
    return int(any(is_wrong(result) for result in results))


if __name__ == '__main__':
    run(main)
