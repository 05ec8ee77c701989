r"""Write a table of runs and their baselines, from their logs.

Example:
  python tools/analysis/compare.py --pair work_dirs/faster_rcnn_r18_bccd work_dirs/faster_rcnn_r18_cds_bccd \
      --pair work_dirs/retinanet_r18_bccd work_dirs/retinanet_r18_cds_bccd --out compare.md
"""

import argparse
import os
import platform
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run


def main() -> None:
    """Print the table, and write it to a page where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--pair', nargs=2, action='append', required=True, metavar=('BASE', 'OTHER'), help='two work directories'
    )
    parser.add_argument('--title', default='Results', help='heading of the page')
    parser.add_argument('--note', default='', help='what a reader has to know beside the table')
    parser.add_argument('--out', help='the Markdown page to write')
    args = parser.parse_args()
    if args.out and not args.out.endswith('.md'):
        raise ValueError(f'--out={args.out!r} is no Markdown page; give a name that ends with .md')
    import torch

    from mmcds.analysis.runs.results_table import pair_table

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f'{os.cpu_count()} CPU cores, no GPU'
    # As it was typed, in a block of its own: a note may have line breaks and backticks.
    command = shlex.join(['python', *sys.argv]).replace('\n', '\n    ')
    page = '\n\n'.join(
        [
            f'# {args.title}',
            f'Written on {device}, {platform.machine()}, torch {torch.__version__}, from the work directories, each of '
            'which holds its config. The last evaluation of each run; differences to the baseline in brackets. '
            'The command:',
            f'    {command}',
            *([args.note] if args.note else []),
            pair_table(args.pair),
        ]
    )
    print(page)
    if args.out:
        Path(args.out).parent.mkdir(parents=True, exist_ok=True)
        Path(args.out).write_text(page + '\n')


if __name__ == '__main__':
    run(main)
