"""A checkpoint of mmengine's own Runner, read back under torch's restriction."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import serialization

from mmcds.compat import safe_globals
from mmcds.compat.safe_globals import allow_mmengine_checkpoints, history_method, mmengine_safe_globals

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    not hasattr(serialization, 'add_safe_globals'), reason='this torch has no restriction to lift'
)

#: Trains a toy model for one epoch, then resumes it for another from what it saved.
RUNNER = """
import sys, torch
from mmcds.compat.safe_globals import mmengine_safe_globals
from mmcds.compat.torchvision_compat import ensure_torchvision
ensure_torchvision()
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)
    def forward(self, x, mode='tensor'):
        return dict(loss=self.linear(x).square().mean())

class Data(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, i):
        return dict(x=torch.ones(2) * i)

def train(epochs, resume):
    runner = Runner(
        model=Toy(), work_dir=sys.argv[1], resume=resume, experiment_name=f'to_{epochs}', log_level='ERROR',
        train_dataloader=dict(dataset=Data(), batch_size=4, sampler=dict(type='DefaultSampler', shuffle=True),
                              collate_fn=dict(type='default_collate')),
        train_cfg=dict(by_epoch=True, max_epochs=epochs), custom_hooks=[dict(type='EMAHook')],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
        param_scheduler=dict(type='CosineAnnealingLR', T_max=4))
    runner.train()
    return runner

train(1, False)
torch.serialization.add_safe_globals(mmengine_safe_globals())
runner = train(2, True)
print('resumed', runner.epoch, runner.iter, len(runner.message_hub.get_scalar('train/loss').data[0]))
"""


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    before = serialization.get_safe_globals()
    yield
    serialization.clear_safe_globals()
    serialization.add_safe_globals(before)


def run(work_dir: Path) -> 'subprocess.CompletedProcess[str]':
    # TORCH_FORCE_WEIGHTS_ONLY_LOAD makes any mmengine load as 0.10.7 does.
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'TORCH_FORCE_WEIGHTS_ONLY_LOAD': '1'}
    command = [sys.executable, '-W', 'ignore', '-c', RUNNER, str(work_dir)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('run')
    result = run(folder)
    assert result.stdout.splitlines()[-1] == 'resumed 2 4 4', result.stderr
    return folder / 'epoch_2.pth'


def test_runner_resumes(checkpoint: Path) -> None:
    assert checkpoint.is_file()


def test_checkpoint_is_refused_before_and_read_after(checkpoint: Path) -> None:
    serialization.clear_safe_globals()
    with pytest.raises(pickle.UnpicklingError, match='HistoryBuffer'):
        torch.load(checkpoint, weights_only=True)
    serialization.add_safe_globals(mmengine_safe_globals())
    losses = torch.load(checkpoint, weights_only=True)['message_hub']['log_scalars']['train/loss']
    expected = torch.load(checkpoint, weights_only=False)['message_hub']['log_scalars']['train/loss']
    np.testing.assert_array_equal(losses.data[0], expected.data[0])
    assert losses.mean() == pytest.approx(np.mean(expected.data[0]))


@pytest.mark.parametrize('dtype', ['bool', 'uint8', 'int32', 'int64', 'float16', 'float32', 'float64'])
def test_numbers_and_arrays(tmp_path: Path, dtype: str) -> None:
    value = np.arange(3).astype(dtype)
    torch.save({'array': value, 'number': value[1]}, tmp_path / 'x.pth')
    serialization.add_safe_globals(mmengine_safe_globals())
    loaded = torch.load(tmp_path / 'x.pth', weights_only=True)
    np.testing.assert_array_equal(loaded['array'], value)
    assert loaded['array'].dtype == value.dtype
    assert type(loaded['number']) is type(value[1])


def test_numpy_names_of_both_generations(tmp_path: Path) -> None:
    """A file written beside the other numpy differs in one module name."""
    torch.save({'number': np.float64(1.5)}, tmp_path / 'x.pth', _use_new_zipfile_serialization=False)
    ours = np.float64(0).__reduce__()[0].__module__.encode()
    other = {b'numpy._core.multiarray': b'numpy.core.multiarray'}.get(ours, b'numpy._core.multiarray')
    content = (tmp_path / 'x.pth').read_bytes()
    assert ours in content
    (tmp_path / 'x.pth').write_bytes(content.replace(ours, other))
    serialization.add_safe_globals(mmengine_safe_globals())
    assert torch.load(tmp_path / 'x.pth', weights_only=True)['number'] == 1.5


class Evil:
    """Pickles to ``getattr(owner, name)``."""

    def __init__(self, owner: Any, name: str) -> None:
        self.args = (owner, name)

    def __reduce__(self) -> Any:
        return getattr, self.args


@pytest.mark.parametrize(
    ('owner', 'name'),
    [(HistoryBuffer, '__init__'), (HistoryBuffer, 'no_such'), (np.ndarray, 'tofile'), (np.dtype, 'type')],
)
def test_getattr_is_not_let_in(tmp_path: Path, owner: Any, name: str) -> None:
    torch.save({'x': Evil(owner, name)}, tmp_path / 'x.pth')
    serialization.add_safe_globals(mmengine_safe_globals())
    with pytest.raises(pickle.UnpicklingError, match=f"asks for attribute '{name}'"):
        torch.load(tmp_path / 'x.pth', weights_only=True)


def test_other_globals_stay_refused(tmp_path: Path) -> None:
    torch.save({'x': Path('a')}, tmp_path / 'x.pth')
    serialization.add_safe_globals(mmengine_safe_globals())
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'x.pth', weights_only=True)


def test_history_method() -> None:
    assert history_method(HistoryBuffer, 'mean') is HistoryBuffer.mean


def test_not_needed_by_the_installed_stack() -> None:
    """Both tested stacks say what they want; nothing may change there."""
    before = serialization.get_safe_globals()
    assert allow_mmengine_checkpoints() is False
    assert serialization.get_safe_globals() == before


@pytest.mark.parametrize(
    ('torch_version', 'loader', 'lifted', 'needed'),
    [
        ('2.13.0+cpu', 'torch.load(filename)', '', True),
        ('2.6.0', 'torch.load(filename)', '0', True),
        ('2.5.1', 'torch.load(filename)', '', False),
        ('2.13.0', 'torch.load(filename, weights_only=False)', '', False),
        ('2.13.0', 'torch.load(filename)', '1', False),
    ],
)
def test_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, torch_version: str, loader: str, lifted: str, needed: bool
) -> None:
    (tmp_path / 'runner').mkdir()
    (tmp_path / 'runner' / 'checkpoint.py').write_text(loader)
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', lifted)
    monkeypatch.setattr(torch, '__version__', torch_version)
    spec = type('Spec', (), {'submodule_search_locations': [str(tmp_path)]})
    monkeypatch.setattr(safe_globals.importlib.util, 'find_spec', lambda name: spec)
    assert allow_mmengine_checkpoints() is needed
    assert (HistoryBuffer in serialization.get_safe_globals()) is needed
