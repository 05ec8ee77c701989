r"""Count the errors of a matrix' detectors by type, as TIDE does (Bolya et al., ECCV 2020).

Tests the last checkpoint of each run on this machine and gives the predictions to tidecv. The page says what its
numbers mean.

Needs tidecv, which requirements/dev.txt has.

Example:
  python benchmarks/experiments/errors.py benchmarks/experiments/deeppcb_matrix.py --out docs/errors/deeppcb.md
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from mmcds.cli.tool import run as run_tool

#: TIDE's types of errors, with their columns.
TYPES = {
    'ClassError': 'class',
    'BoxError': 'localisation',
    'OtherError': 'both',
    'DuplicateError': 'duplicate',
    'BackgroundError': 'background',
    'MissedError': 'missed',
}
THRESHOLDS = (0.5, 0.75)
MEANING = """\
A number is the AP that would be gained if all errors of that type were corrected; lower is better. Types are those of
TIDE: *class*: right place, wrong class. *localisation*: right class, box overlaps too little. *both*: wrong class and
box. *duplicate*: second detection of an object. *background*: detection of nothing. *missed*: object without a
detection. The AP is tidecv's, which differs a little from COCO's."""


def errors_of(truth: Mapping[str, Any], found: Sequence[Mapping[str, Any]], threshold: float) -> dict[str, float]:
    """AP and what each type of error costs.

    Args:
        truth (Mapping[str, Any]): Content of a COCO annotation file.
        found (Sequence[Mapping[str, Any]]): Detections in COCO's format of results.
        threshold (float): IoU from which a detection is right, in (0, 1].

    Returns:
        dict[str, float]: 'AP' and the keys of :data:`TYPES`, in points.
    """
    from tidecv import TIDE
    from tidecv.data import Data

    truths, detections = Data('truth'), Data('detections')
    for category in truth['categories']:
        truths.add_class(category['id'], category['name'])
    for each in truth['annotations']:
        add = truths.add_ignore_region if each.get('iscrowd') else truths.add_ground_truth
        add(each['image_id'], each['category_id'], each['bbox'], None)
    for each in found:
        detections.add_detection(each['image_id'], each['category_id'], each['score'], each['bbox'], None)
    evaluated = TIDE(pos_threshold=threshold).evaluate(truths, detections, mode=TIDE.BOX)
    costs = {kind.__name__: float(value) for kind, value in evaluated.fix_main_errors().items()}
    return {'AP': float(evaluated.ap), **{name: costs[name] for name in TYPES}}


def of_classes(truth: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """A COCO file's content with the classes alone that a detector is tested on."""
    categories = [each for each in truth['categories'] if each['name'] in classes]
    ids = {each['id'] for each in categories}
    kept = [each for each in truth['annotations'] if each['category_id'] in ids]
    return {**truth, 'categories': categories, 'annotations': kept}


def detections_of(config: str, options: Mapping[str, Any], checkpoint: str, prefix: Path) -> list[dict[str, Any]]:
    """Detections of a checkpoint on the images that its config tests on."""
    pairs = [f'{key}={value}' for key, value in options.items()]
    command = [sys.executable, 'tools/test.py', config, checkpoint, '--cfg-options', *pairs]
    done = subprocess.run([*command, f'test_evaluator.outfile_prefix={prefix}'], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f'{shlex.join(command)} ended with {done.returncode}: {done.stderr.strip()[-300:]}')
    content: list[dict[str, Any]] = json.loads(prefix.with_name(f'{prefix.name}.bbox.json').read_text())
    return content


def main() -> None:
    """Test, count, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('matrix', help='a matrix of detectors whose runs are on this machine')
    parser.add_argument('--work-dir', help='where the runs are (default work_dirs/<name of the matrix>)')
    parser.add_argument('--arms', nargs='+', help='only these arms')
    parser.add_argument('--out', type=Path, help='the Markdown page to write (default: errors.md there)')
    args = parser.parse_args()
    here = Path(__file__).resolve().parent
    sys.path[:] = [each for each in sys.path if Path(each).resolve() != here]
    os.chdir(here.parents[1])

    from benchmarks.experiments.matrix import load_matrix
    from benchmarks.experiments.runner import runs_of
    from benchmarks.speed.headline import markdown_table
    from mmcds.config.load_config import load_config

    matrix = load_matrix(args.matrix)
    work_dir = Path(args.work_dir or Path('work_dirs') / Path(args.matrix).stem.removesuffix('_matrix')).resolve()
    found: dict[str, list[list[dict[str, float]]]] = {}
    for run in runs_of(matrix, work_dir, args.arms):
        if not (run.done and run.has_checkpoint):
            continue
        prefix = run.folder / 'errors'
        config = load_config(run.arm.config)
        config.merge_from_dict(dict(run.arm.options))
        detections = detections_of(run.arm.config, run.arm.options, run.checkpoint(), prefix)
        truth = json.loads(Path(str(config.test_evaluator.ann_file)).read_text())
        classes = (config.test_dataloader.dataset.get('metainfo') or {}).get('classes')
        truth = of_classes(truth, classes) if classes else truth
        found.setdefault(run.arm.label, []).append([errors_of(truth, detections, each) for each in THRESHOLDS])
        print(f'{run.name}: counted', flush=True)
    if not found:
        raise ValueError(f'{work_dir} has no finished run with its checkpoint; run the matrix first')
    parts = [
        f'# {matrix.title}: errors by type',
        *([matrix.errors_answer] if matrix.errors_answer else []),
        MEANING,
        f'Written by `python {shlex.join(["benchmarks/experiments/errors.py", *sys.argv[1:]])}`.',
    ]
    for i, threshold in enumerate(THRESHOLDS):
        rows = [
            [label, str(len(runs)), *(f'{np.mean([each[i][key] for each in runs]):.1f}' for key in ('AP', *TYPES))]
            for label, runs in found.items()
        ]
        parts.append(f'At an IoU of {threshold:g}, in points of AP, mean over the seeds:')
        parts.append(markdown_table(['arm', 'seeds', 'AP', *TYPES.values()], rows))
    page = '\n\n'.join(parts) + '\n'
    out = args.out or work_dir / 'errors.md'
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page)
    print(page)


if __name__ == '__main__':
    run_tool(main)
