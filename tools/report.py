"""Write one self-contained HTML page about a run, or about several side by side.

It shows the last metrics and their differences to the first run, AP per class if it was logged, the cost, the curves,
the differences of the configs, and the pictures in the work directories (tools/analysis/detections.py and the other
tools write them there with --out). The page loads no other file, so it can be sent or archived.

Examples:
  python tools/report.py work_dirs/faster_rcnn_r18_cds_shapes
  python tools/report.py work_dirs/stock work_dirs/cds --names stock CDS --out report.html
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmcds.cli.tool import run


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('runs', nargs='+', help='work directories; the first is what the others are compared with')
    parser.add_argument('--names', nargs='+', help="names in the page (default the folders' names)")
    parser.add_argument('--title', default='', help='heading of the page')
    parser.add_argument('--out', help='.html file to write (default report.html in the first work directory)')
    return parser.parse_args()


def main() -> None:
    """Read the runs, write the page."""
    args = parse_args()
    from mmcds.analysis.runs.report import load_run, write_report
    from mmcds.analysis.runs.run_log import check_names

    runs = [load_run(path, name) for path, name in zip(args.runs, check_names(args.runs, args.names), strict=True)]
    print(write_report(runs, args.out or runs[0].folder / 'report.html', args.title))


if __name__ == '__main__':
    run(main)
