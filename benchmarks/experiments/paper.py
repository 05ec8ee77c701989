"""The paper's tables, each row beside the command that would reproduce it and what was run here.

Writes docs/paper.md. A row counts as run here if <runs>/<data set>/<config name>, where tools/train.py puts it,
holds an evaluation.

Examples:
  python benchmarks/experiments/paper.py
  python benchmarks/experiments/paper.py --runs work_dirs --out docs/paper.md
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmcds.cli.tool import run

ROOT = Path(__file__).resolve().parents[2]
FOLDER = 'configs/classification'
#: Heading in the paper -> name in our configs, in the paper's order.
MODELS = {
    'R18': 'resnet18',
    'R50': 'resnet50',
    'R101': 'resnet101',
    'RXT50': 'resnext50',
    'RXT101': 'resnext101',
    'WRN50': 'wrn50',
    'WRN101': 'wrn101',
    'SE18': 'seresnet18',
    'SE50': 'seresnet50',
    'PreAct18': 'preactresnet18',
}
METHODS = {'baseline': '', 'DSN': '_dsn', 'CDS': '_cds'}
CIFAR100 = {
    'baseline': (77.45, 77.81, 78.65, 79.85, 80.67, 79.46, 79.98, 77.46, 78.02, 76.84),
    'DSN': (78.30, 78.96, 79.37, 81.02, 81.70, 80.98, 81.30, 78.28, 79.46, 77.40),
    'CDS': (80.84, 81.31, 83.12, 82.81, 83.87, 82.28, 83.93, 80.13, 81.51, 80.76),
}
IMAGENET = {
    ('resnet18', 'baseline'): '69.21 / 89.01',
    ('resnet18', 'DSN'): '69.54',
    ('resnet18', 'CDS'): '72.85 / 91.30',
    ('resnet18', 'CDS, distilled'): '73.23 / 91.56',
    ('resnet34', 'baseline'): '73.17 / 91.24',
    ('resnet34', 'DSN'): '73.29',
    ('resnet34', 'CDS'): '76.19 / 93.08',
    ('resnet34', 'CDS, distilled'): '76.65 / 93.38',
    ('resnet50', 'baseline'): '75.30 / 92.20',
    ('resnet50', 'DSN'): '75.37',
    ('resnet50', 'CDS'): '78.25 / 93.99',
    ('resnet50', 'CDS, distilled'): '78.68 / 94.42',
    ('resnet50', 'CDS, 350 epochs, AutoAugment'): '79.8',
}
IMAGENET_FILES = {**METHODS, 'CDS, distilled': '_cds-distill_r50', 'CDS, 350 epochs, AutoAugment': '_cds-350e'}
FINE_GRAINED = {
    'cub': (78.50, 80.14, 82.10),
    'cars': (90.25, 91.32, 92.90),
    'flowers': (97.68, 98.64, 99.39),
    'dogs': (76.47, 77.21, 80.99),
    'aircraft': (87.43, 89.31, 90.52),
}
#: Labels in % -> (baseline, CDS), read off the poster's curves (± 0.5).
SEMI = {
    'cifar100': {10: (31.7, 42.0), 20: (45.7, 56.6), 30: (48.6, 62.9), 40: (62.0, 67.8)},
    'cifar10': {10: (57.3, 75.5), 20: (78.6, 85.4), 30: (84.3, 88.5), 40: (87.7, 90.7)},
}
#: Detector -> method -> AP / AP_S / AP_M / AP_L.
COCO = {
    'faster_rcnn': {
        'baseline': '37.4 / 21.2 / 41.0 / 48.1',
        'DSN': '37.3 / 21.0 / 40.8 / 48.3',
        'CDS': '38.3 / 21.6 / 42.0 / 50.1',
    },
    'retinanet': {
        'baseline': '36.5 / 20.4 / 40.3 / 48.1',
        'DSN': '36.3 / 20.1 / 40.0 / 48.1',
        'CDS': '37.3 / 21.2 / 41.0 / 47.9',
    },
}


@dataclass(frozen=True)
class Row:
    """One number of the paper.

    Attributes:
        what (str): Model and method.
        paper (str): The paper's number.
        config (str): The config that would reproduce it, relative to the repository.
        options (str): What its command needs beside. Defaults to ''.
    """

    what: str
    paper: str
    config: str
    options: str = ''


def tables() -> dict[str, list[Row]]:
    """All tables, by their headings."""
    found: dict[str, list[Row]] = {}
    found['CIFAR-100, top-1 (%)'] = [
        Row(f'{model}, {method}', f'{CIFAR100[method][i]:.2f}', f'{FOLDER}/cifar100/{name}{ending}.py')
        for i, (model, name) in enumerate(MODELS.items())
        for method, ending in METHODS.items()
    ]
    found['ImageNet, top-1 / top-5 (%)'] = [
        Row(f'{name}, {method}', number, f'{FOLDER}/imagenet/{name}{IMAGENET_FILES[method]}.py', _teacher(method))
        for (name, method), number in IMAGENET.items()
    ]
    found['Fine-grained, ResNet-50 fine-tuned from ImageNet, top-1 (%)'] = [
        Row(
            f'{data}, {method}',
            f'{numbers[i]:.2f}',
            f'{FOLDER}/{data}/resnet50{ending}.py',
            'load_from=IMAGENET_CHECKPOINT',
        )
        for data, numbers in FINE_GRAINED.items()
        for i, (method, ending) in enumerate(METHODS.items())
    ]
    found[
        'Semi-supervised, ResNet-18, top-1 (%), read off curves (± 0.5); in ours half of an epoch with CDS is labelled'
    ] = [
        Row(f'{data}, {percent} % labels, {method}', f'{value:.1f}', f'{FOLDER}/{data}/resnet18{kind}{percent}.py')
        for data, rows in SEMI.items()
        for percent, values in rows.items()
        for method, kind, value in zip(('baseline', 'CDS'), ('_semi', '_cds-semi'), values, strict=True)
    ]
    found['Calibration, CIFAR-100, ResNet-18, expected calibration error (%)'] = [
        Row('baseline', '11.92', f'{FOLDER}/cifar100/resnet18.py'),
        Row('CDS', '5.27', f'{FOLDER}/cifar100/resnet18_cds.py'),
    ]
    found['COCO 2017, backbone pre-trained with each method, then an ordinary detector, AP / AP_S / AP_M / AP_L'] = [
        Row(
            f'{detector}, {method}',
            number,
            f'configs/cds/{detector}_r50_cds-pretrained.py',
            f'model.backbone.init_cfg.checkpoint=BACKBONE_OF_{FOLDER}/imagenet/resnet50{METHODS[method]}.py',
        )
        for detector, numbers in COCO.items()
        for method, number in numbers.items()
    ]
    return found


NOTES = """\
## Notes

- `python tools/export.py CHECKPOINT --backbone --out FILE` writes the file that stands for `BACKBONE_OF_...`.
- Not implemented: DKS, DHM, KD, AT, RKD, SP, CRD, BYOL, SupCon pre-training.
- The paper does not give its settings of fine-tuning; those of the configs are ours.
- With a part of the labels the configs have equal epochs, not equal iterations. The baselines see labelled images only.
- ImageNet batches of 256 are for one process: divide `train_dataloader.batch_size` by the number of GPUs."""


def page(runs: Path | None) -> str:
    """The whole page, in Markdown."""
    parts = [
        "# The paper's tables",
        "The paper's numbers, with the command of each row. The last column has the numbers of runs here. ImageNet, "
        'COCO, the fine-grained sets and the original CIFAR were not available, so no row was run. Other data: '
        '[classification](results_classification.md), [detection](results_detection.md). '
        'Written by `python benchmarks/experiments/paper.py`.',
    ]
    for heading, rows in tables().items():
        lines = [['', 'paper', 'command', 'here'], ['---'] * 4]
        for row in rows:
            options = f' --cfg-options {row.options}' if row.options else ''
            lines.append(
                [row.what, row.paper, f'`python tools/train.py {row.config}{options}`', _here(row, heading, runs)]
            )
        parts += [f'## {heading}', '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)]
    return '\n\n'.join([*parts, NOTES]) + '\n'


def _teacher(method: str) -> str:
    return 'teacher_checkpoint=CHECKPOINT_OF_RESNET50_CDS' if 'distilled' in method else ''


def _here(row: Row, heading: str, runs: Path | None) -> str:
    from mmcds.analysis.runs.run_log import read_run

    # One config of COCO serves several rows, whose backbones differ: which one a run had is not in its name.
    folder = runs / Path(row.config).parent.name / Path(row.config).stem if runs and 'COCO' not in heading else None
    if folder is None or not folder.is_dir():
        return 'not run'
    keys = ['calibration/ece'] if 'Calibration' in heading else ['accuracy/top1']
    keys += ['accuracy/top5'] if '/ top-5' in heading else []
    log = read_run(folder)
    values = [log.series(key)[1] for key in keys]
    return ' / '.join(f'{each[-1]:.2f}' for each in values) if all(map(len, values)) else 'not evaluated'


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--runs', type=Path, help='folder of work directories <data set>/<config name> of full runs')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs' / 'paper.md', help='the page to write')
    args = parser.parse_args()
    args.out.write_text(page(args.runs))
    print(f'{args.out}: {sum(map(len, tables().values()))} rows')


if __name__ == '__main__':
    run(main)
