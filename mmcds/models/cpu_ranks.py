"""Distributed training without a GPU, through MMEngine's Runner."""

from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from torch import nn

from mmcds.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """MMEngine's DDP wrapper for models on the CPU.

    MMEngine's Runner passes a GPU id to every DDP wrapper, which torch refuses for a model on the CPU.

    Args:
        module (nn.Module): The model.
        device_ids (list[int], optional): Not used.
        **kwargs: As for MMDistributedDataParallel.
    """

    def __init__(self, module: nn.Module, device_ids: list[int] | None = None, **kwargs: Any) -> None:
        super().__init__(module=module, **kwargs)


def use_cpu_ranks(cfg: Config, launcher: str) -> None:
    """Let ``--launcher pytorch`` work without a GPU: set up gloo and the wrapper for the CPU.

    MMEngine's own start-up sets a CUDA device, so the process group is created here first.

    Args:
        cfg (Config): Changed in place; a wrapper that it names is kept.
        launcher (str): Only 'pytorch' is handled here; others are left to MMEngine.
    """
    if launcher != 'pytorch' or torch.cuda.is_available():
        return
    if not dist.is_initialized():
        dist.init_process_group('gloo')
    if cfg.get('model_wrapper_cfg') is None:
        cfg.model_wrapper_cfg = dict(
            type='mmcds.CPUDistributedDataParallel',
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )
