"""A run that was killed and resumed ends with the weights of one that was not."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from preloaded import Preloaded, Process
from toys import toy_config

from mmcds import add_cds

#: Trains; with a third argument it stands still before that iteration, for its parent to kill it.
PROGRAM = """
import sys, time
from pathlib import Path
import mmcds
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

cfg = Config.fromfile(sys.argv[1])
cfg.work_dir = sys.argv[2]
cfg.resume = True
runner = Runner.from_cfg(cfg)

class StandStill(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if len(sys.argv) > 3 and runner.iter == int(sys.argv[3]):
            Path(sys.argv[2], 'standing').touch()
            time.sleep(600)

runner.register_hook(StandStill(), priority='LOWEST')
runner.train()
"""


#: The contrast of one view, which draws jittered boxes and negatives near the objects.
ONE_VIEW: dict[str, Any] = dict(
    view=dict(type='SingleView'), sampler=dict(type='InstanceSampler', background=2, jitter=0.2, near=2)
)


def finish(process: Process) -> None:
    assert process.wait() == 0, process.errors.read_text()[-3000:]


def weights(work: Path) -> dict[str, torch.Tensor]:
    return torch.load(work / 'epoch_4.pth', weights_only=False)['state_dict']


@pytest.mark.slow
@pytest.mark.parametrize(('workers', 'form'), [(0, {}), (1, ONE_VIEW)], ids=['two views', 'one view, a worker'])
def test_killed_and_resumed(
    workers: int, form: dict[str, Any], preloaded: Preloaded, toy_data: Path, tmp_path: Path
) -> None:
    """Four epochs of three iterations, killed in the third; queue, schedule and random state take part."""
    cfg = toy_config(toy_data, tmp_path / 'unused')
    cfg.model.backbone.norm_eval = False
    cfg = add_cds(
        cfg,
        schedule=dict(warmup=0.3, decay='cosine', decay_begin=0.5),
        queue_length=12,
        loss_weight=1.0,
        **{'sampler': dict(type='InstanceSampler', background=2), **form},
    )
    cfg.train_cfg.max_epochs = 4
    cfg.train_dataloader.num_workers = workers
    cfg.train_dataloader.dataset.pipeline[2:2] = [dict(type='PhotoMetricDistortion')]
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
    config = tmp_path / 'config.py'
    cfg.dump(config)
    program = tmp_path / 'program.py'
    program.write_text(PROGRAM)

    def start(work: str, *stop: str) -> Process:
        return preloaded.start(str(program), str(config), str(tmp_path / work), *stop)

    whole, killed = start('whole'), start('killed', '7')
    for _ in range(3000):
        if (tmp_path / 'killed/standing').exists() or killed.poll() is not None:
            break
        time.sleep(0.1)
    assert killed.poll() is None
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert (tmp_path / 'killed/epoch_2.pth').is_file()
    assert not (tmp_path / 'killed/epoch_3.pth').exists()
    finish(whole)
    finish(start('killed'))

    expected, found = weights(tmp_path / 'whole'), weights(tmp_path / 'killed')
    assert list(expected) == list(found)
    assert expected['neck.cds.queues.backbone0.cursor'] > 12
    different = [name for name in expected if not torch.equal(expected[name], found[name])]
    assert not different
    if workers:
        return
    # The comparison can fail: a run of another seed ends elsewhere.
    cfg.randomness.seed = 1
    cfg.dump(config)
    finish(start('other'))
    assert not torch.equal(weights(tmp_path / 'other')['backbone.conv1.weight'], expected['backbone.conv1.weight'])
