"""Every command of the tutorial on a data set of one's own, in its order, on a few images."""

import json
import re
import shlex
from pathlib import Path

import matplotlib.image
import pytest
import torch
from preloaded import Preloaded

from mmcds.datasets.shapes import make_shapes

PAGE = Path(__file__).resolve().parents[2] / 'docs/your_data.md'
NAMES = ('open', 'short', 'mousebite', 'spur', 'copper', 'pin-hole')


def rename_classes(data: Path) -> None:
    """Give generated shapes the categories of the tutorial."""
    for path in data.glob('annotations/*.json'):
        content = json.loads(path.read_text())
        content['categories'] = [{'id': i + 1, 'name': name} for i, name in enumerate(NAMES)]
        for number, box in enumerate(content['annotations']):
            box['category_id'] = number % len(NAMES) + 1
        path.write_text(json.dumps(content))


@pytest.mark.slow
def test_the_tutorial(preloaded: Preloaded, tmp_path: Path) -> None:
    data = make_shapes(tmp_path / 'pcb', train=8, val=4, size=96)
    rename_classes(data)
    text = PAGE.read_text()
    (config,) = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    small = config.replace("'data/pcb/'", f"'{data}/'").replace('(320, 320)', '(96, 96)')
    assert small.count('96') == 2
    (tmp_path / 'pcb.py').write_text(small)
    lines = [line.strip() for line in text.replace('\\\n', ' ').splitlines() if line.startswith('    python ')]
    assert len(lines) == 7
    said = {}
    for line in lines:
        words = shlex.split(line.replace('epoch_10', 'epoch_1'))[1:]
        command = [
            str(tmp_path / word) if re.match(r'pcb\.|work_dirs/|views\.png|report\.html|pictures', word) else word
            for word in words
        ]
        if command[0] == 'tools/train.py':
            command += ['--cfg-options', 'train_cfg.max_epochs=1', 'default_hooks.logger.interval=1']
        done = preloaded.run(*command)
        assert done.returncode == 0, (line, done.stdout[-2000:], done.stderr[-3000:])
        said[line] = done.stdout + done.stderr
    stock_said, cds_said, *_ = (text for line, text in said.items() if 'tools/train.py' in line)
    assert 'CDS' not in stock_said
    assert 'export' not in stock_said
    assert re.search(
        r'CDS supervises backbone\.0 \(32 channels, stride 4\), backbone\.1 \(64 channels, stride 8\), ', cds_said
    )
    assert 'InstanceSampler chooses the samples in one view, MLPProjector embeds them' in cds_said
    assert 'The losses are loss_cds_backbone0, loss_cds_backbone1, ' in cds_said
    # The command that ends the training is the page's.
    (export,) = re.findall(r'python tools/export\.py (.*)', cds_said)
    assert str(tmp_path / 'pcb.py') in export
    assert ' --cds --cfg-options train_cfg.max_epochs=1 ' in export
    parts = shlex.split(export)
    parts[-1] = str(tmp_path / 'again.pth')
    again = preloaded.run('tools/export.py', *parts)
    assert again.returncode == 0, again.stderr[-3000:]
    for picture in ('views.png', 'pictures/changes.png'):
        assert matplotlib.image.imread(tmp_path / picture).std() > 0.05
    assert 'CDS' in (tmp_path / 'report.html').read_text()
    exported = torch.load(tmp_path / 'pcb.pth', weights_only=True)['state_dict']
    stock = torch.load(tmp_path / 'work_dirs/stock/epoch_1.pth', weights_only=False)['state_dict']
    assert exported.keys() == stock.keys()
