"""Take one toy training step of one config of every family, stock and with CDS.

A family is a folder of the configs that mmdet, mmrotate, mmseg or mmyolo ships. With the same weights, batch and
seeds, the CDS version must keep the stock's weight names, gradients and, to the last bit, task losses, and add losses
above 0.

Examples:
  python benchmarks/families/run.py
  python benchmarks/families/run.py --package mmrotate --package mmseg
  python benchmarks/families/run.py retinanet fcos mmrotate/rotated_fcos
"""

import argparse
import gc
import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run
from mmcds.utils.errors import unknown_name

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


def chosen(families: Sequence[str], packages: Sequence[str] | None) -> list[str]:
    """Names of the families to walk.

    Args:
        families (Sequence[str]): Names that the user gave.
        packages (Sequence[str], optional): Packages that the user gave. None is every one that is installed.

    Raises:
        ValueError: If a name is not known, or both are given.
    """
    from benchmarks.families.choose import PACKAGES, family_of, installed_packages, list_families

    if families and packages:
        raise ValueError(f'--package={packages} and the families {list(families)} are given; give one of them')
    unknown = [package for package in packages or () if package not in PACKAGES]
    if unknown:
        raise unknown_name('--package', unknown[0], PACKAGES)
    try:
        if families:
            return [family_of(name).name for name in families]
        return [family.name for package in packages or installed_packages() for family in list_families(package)]
    except ValueError as error:
        # Raised by the tool itself, so that it is printed without the place where it was found out.
        raise ValueError(str(error)) from None


def main() -> int:
    """Print the outcome of each family, and write the page of all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('families', nargs='*', help='folders of mmdet, or PACKAGE/FOLDER (default all)')
    parser.add_argument('--package', action='append', help='all folders of this package only; may be repeated')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1, help='processes (default one per core)')
    parser.add_argument('--out', help='the Markdown page (default docs/families.md for all packages, else none)')
    args = parser.parse_args()
    from benchmarks.families.page import families_page, is_wrong

    names = chosen(args.families, args.package)
    start, results = time.perf_counter(), []
    # Spawned, and new ones now and then: what some models leave behind would add up to gigabytes.
    with get_context('spawn').Pool(args.jobs, maxtasksperchild=16) as pool:
        for result in pool.imap(walk, names):
            print(f'{result.family}: stock {result.stock}; CDS {result.cds} ({result.seconds:.1f} s)', flush=True)
            results.append(result)
    out = args.out or (None if args.families or args.package else 'docs/families.md')
    if out:
        Path(out).write_text(families_page(results, sys.argv[1:], time.perf_counter() - start, args.jobs))
    return int(any(is_wrong(result) for result in results))


if __name__ == '__main__':
    run(main)
