"""Writes model-index.yml and the metafiles it imports, from the configs that are there.

They are what `mim search mmcds` and the model zoos of the OpenMMLab projects read. Results and weights are left out:
what was run here has pages of its own, and weights are not distributed.

Example:
  python benchmarks/metafiles.py
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import yaml

from mmcds.cli.tool import run

ROOT = Path(__file__).resolve().parents[1]
PAPER = {'Title': 'Contrastive Deep Supervision', 'URL': 'https://arxiv.org/abs/2207.05306'}
#: Folder of the configs -> what its data are called.
DETECTION = {'shapes': 'shapes drawn by mmcds', 'bccd': 'BCCD'}
CLASSIFICATION = {
    'aircraft': 'FGVC-Aircraft',
    'cars': 'Stanford Cars',
    'cifar10': 'CIFAR-10',
    'cifar100': 'CIFAR-100',
    'cub': 'CUB-200-2011',
    'dogs': 'Stanford Dogs',
    'flowers': 'Oxford Flowers-102',
    'imagenet': 'ImageNet-1k',
}


def metafiles() -> dict[str, dict[str, Any]]:
    """Path of each metafile, relative to the repository -> its content."""
    found = {'configs/cds/metafile.yml': content('CDS in detectors', 'configs/cds', detection_data)}
    for folder, data in CLASSIFICATION.items():
        collection = f'CDS in classifiers, {data}'
        path = f'configs/classification/{folder}'
        found[f'{path}/metafile.yml'] = content(collection, path, lambda name, data=data: data, f'{folder}-')
    return found


def detection_data(name: str) -> str:
    """What a detector's config trains on."""
    return next((data for key, data in DETECTION.items() if name.endswith(f'_{key}')), 'COCO 2017')


def content(collection: str, folder: str, data_of: Any, prefix: str = '') -> dict[str, Any]:
    """A metafile: one collection, one model per config of a folder."""
    from mmcds.config.load_config import load_config

    models = []
    for path in sorted((ROOT / folder).glob('*.py')):
        cfg = load_config(str(path))
        metadata = {
            'Training Data': data_of(path.stem),
            'Epochs': cfg.train_cfg.max_epochs,
            'Batch Size': cfg.train_dataloader.batch_size,
        }
        name = prefix + path.stem
        config = str(path.relative_to(ROOT))
        models.append({'Name': name, 'In Collection': collection, 'Config': config, 'Metadata': metadata})
    return {'Collections': [{'Name': collection, 'Paper': PAPER, 'README': 'README.md'}], 'Models': models}


def main() -> None:
    """Write all files."""
    found = metafiles()
    for path, text in {**found, 'model-index.yml': {'Import': list(found)}}.items():
        head = '# Written by benchmarks/metafiles.py\n'
        (ROOT / path).write_text(head + yaml.safe_dump(text, sort_keys=False, width=120))
        print(path)


if __name__ == '__main__':
    run(main)
