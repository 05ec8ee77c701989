"""A real training of a model of each package around mmdet: killed, resumed, tested with its own metric, exported."""

import json
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from preloaded import Preloaded

from mmcds.apis import add_cds
from mmcds.config.load_config import load_config
from mmcds.utils.type_name import type_name

EPOCHS = 2


@dataclass(frozen=True)
class Job:
    """A stock config that trains on generated shapes.

    Attributes:
        package (str): Import name of the package.
        config (str): The stock config.
        metric (str): Name of its metric in the log.
        kind (str): Kind of the generated data.
        options (tuple[str, ...]): What makes it small, for ``--cfg-options``.
    """

    package: str
    config: str
    metric: str
    kind: str
    options: tuple[str, ...] = ()


JOBS = [
    Job('mmrotate', 'configs/shapes/rotated_retinanet_r18_shapes.py', 'dota/mAP', 'rotated'),
    Job('mmseg', 'configs/shapes/fcn_r18_shapes.py', 'mIoU', 'pixels'),
    Job(
        'mmyolo',
        'configs/shapes/yolov8_n_shapes.py',
        'coco/bbox_mAP_50',
        'boxes',
        (
            f'default_hooks.param_scheduler.max_epochs={EPOCHS}',
            'default_hooks.param_scheduler.warmup_mim_iter=2',
            'optim_wrapper.optimizer.batch_size_per_gpu=4',
            'custom_hooks.1.switch_epoch=1',
        ),
    ),
]


def train(preloaded: Preloaded, job: Job, data: Path, work: Path, *flags: str, options: tuple[str, ...] = ()) -> Any:
    command = ['tools/train.py', job.config, '--cds', '--work-dir', str(work), *flags, '--cfg-options']
    return preloaded.start(*command, *small(job, data), *options)


def small(job: Job, data: Path) -> list[str]:
    options = [
        f'data_root={data}/',
        f'train_cfg.max_epochs={EPOCHS}',
        f'train_cfg.val_interval={EPOCHS}',
        'train_dataloader.batch_size=4',
        'default_hooks.checkpoint.max_keep_ckpts=-1',
    ]
    return [*options, *job.options]


@pytest.mark.slow
@pytest.mark.parametrize('job', JOBS, ids=[job.package for job in JOBS])
def test_train_kill_resume_test_export(job: Job, preloaded: Preloaded, tmp_path: Path) -> None:
    pytest.importorskip(job.package)
    data = tmp_path / 'shapes'
    numbers = ('--train', '24', '--val', '8', '--kind', job.kind)
    made = preloaded.run('tools/make_shapes.py', '--out', str(data), *numbers)
    assert made.returncode == 0, made.stderr

    whole = train(preloaded, job, data, tmp_path / 'whole')
    assert whole.wait(600) == 0, whole.errors.read_text()[-2000:]
    log = max((tmp_path / 'whole').glob('*/vis_data/scalars.json'))
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    added = {key: row[key] for row in rows for key in row if key.startswith('loss_cds_')}
    assert added
    assert all(value > 0 for value in added.values()), added
    (score,) = [row[job.metric] for row in rows if job.metric in row][-1:]

    # Without its evaluation: mmrotate's metric takes ten seconds to start.
    unseen = f'train_cfg.val_begin={EPOCHS + 1}'
    killed = train(preloaded, job, data, tmp_path / 'killed', options=(unseen,))
    for _ in range(6000):
        if (tmp_path / 'killed/last_checkpoint').exists() or killed.poll() is not None:
            break
        time.sleep(0.05)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert (tmp_path / 'killed/epoch_1.pth').is_file()
    resumed = train(preloaded, job, data, tmp_path / 'killed', '--resume', options=(unseen,))
    assert resumed.wait(600) == 0, resumed.errors.read_text()[-2000:]
    checkpoint = tmp_path / f'killed/epoch_{EPOCHS}.pth'
    expected, found = (
        torch.load(path, weights_only=False)['state_dict']
        for path in (tmp_path / f'whole/epoch_{EPOCHS}.pth', checkpoint)
    )
    assert list(expected) == list(found)
    assert not [name for name in expected if not torch.equal(expected[name], found[name])]

    # Its own metric, by the stock config and by the one with CDS.
    for flag in ([], ['--cds']):
        command = ['tools/test.py', job.config, str(checkpoint), *flag, '--work-dir', str(tmp_path / 'test')]
        tested = preloaded.run(*command, '--cfg-options', *small(job, data))
        assert tested.returncode == 0, tested.stderr
        (value,) = re.findall(rf'{re.escape(job.metric)}: ([\d.]+)', tested.stdout + tested.stderr)[-1:]
        assert float(value) == pytest.approx(score, abs=6e-5)

    target = tmp_path / 'stock.pth'
    command = ['tools/export.py', str(checkpoint), '--config', job.config, '--cds', '--out', str(target)]
    exported = preloaded.run(*command, '--cfg-options', *small(job, data))
    assert exported.returncode == 0, exported.stderr
    assert 'equal to the last bit' in exported.stdout
    stock = torch.load(target, weights_only=True)['state_dict']
    assert set(stock) == {name for name in found if '.cds.' not in name}

    page = preloaded.run('tools/report.py', str(tmp_path / 'killed'), '--out', str(tmp_path / 'report.html'))
    assert page.returncode == 0, page.stderr
    assert 'loss_cds_' in (tmp_path / 'report.html').read_text()


@pytest.mark.parametrize('job', JOBS, ids=[job.package for job in JOBS])
def test_the_shipped_config_is_what_the_flag_makes(job: Job) -> None:
    """docs/other_packages.md trains configs/cds/..., the test above the stock config with --cds."""
    pytest.importorskip(job.package)
    shipped = load_config(job.config.replace('configs/shapes', 'configs/cds').replace('_shapes.py', '_cds_shapes.py'))
    made = add_cds(load_config(job.config))
    assert shipped.model.to_dict() == made.model.to_dict()
    assert {type_name(hook) for hook in shipped.custom_hooks} == {type_name(hook) for hook in made.custom_hooks}
