"""The Runner's way of starting ranks, without a GPU."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from mmcds.models.cpu_ranks import use_cpu_ranks

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason='acts only where no GPU is seen')


@pytest.fixture
def one_rank(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group('gloo', f'file://{tmp_path}/store', rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize('launcher', ['none', 'slurm', 'mpi'])
def test_other_launchers_are_left_alone(launcher: str) -> None:
    cfg = Config({})
    use_cpu_ranks(cfg, launcher)
    assert not dist.is_initialized()
    assert 'model_wrapper_cfg' not in cfg


def test_the_wrapper_takes_what_the_runner_gives_it(one_rank: None) -> None:
    """The Runner passes device_ids, which torch refuses for a model on the CPU."""
    cfg = Config({'find_unused_parameters': True})
    use_cpu_ranks(cfg, 'pytorch')
    with pytest.raises(ValueError, match='device_ids'):
        nn.parallel.DistributedDataParallel(nn.Linear(2, 1), device_ids=[0])
    wrapped = MODEL_WRAPPERS.build(cfg.model_wrapper_cfg, default_args=dict(module=nn.Linear(2, 1), device_ids=[0]))
    wrapped(torch.ones(1, 2)).sum().backward()
    assert torch.equal(wrapped.module.weight.grad, torch.ones(1, 2))
    assert wrapped.find_unused_parameters


def test_a_wrapper_of_the_user_s_stays(one_rank: None) -> None:
    cfg = Config({'model_wrapper_cfg': {'type': 'Own'}})
    use_cpu_ranks(cfg, 'pytorch')
    assert cfg.model_wrapper_cfg.type == 'Own'
