"""Training steps of several configs, timed side by side on synthetic data."""

import gc
import multiprocessing
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import set_random_seed
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from mmcds.apis import DISTILL_HOOK, has_cds
from mmcds.config.load_config import model_config
from mmcds.models import TwoViewForward

from .allocator import keep_freed_memory
from .headline import markdown_table
from .memory import begin_peak, peak_mib


@dataclass
class Side:
    """One config, ready to take steps.

    Attributes:
        name (str): What the table calls it.
        step (Callable): Takes one training step: forward, backward, optimiser; with ``check=True`` it fails on a loss
            that is not finite.
        seconds (list[float]): Time of each timed round per step.
        memory (float): Largest memory of the device in MiB during a step; 0 until :func:`measure_memory`.
        flops (int): Floating-point operations of a step, forward and backward, as torch counts them.
        kernels (int): Kernels that a step launches on the GPU, as torch's profiler counts them; 0 until
            :func:`count_kernels`.
        build (Callable): Makes this side anew.
    """

    name: str
    step: Callable[..., None]
    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0
    flops: int = 0
    kernels: int = 0
    build: Callable[[], 'Side'] | None = None


def make_side(
    name: str,
    cfg: Config,
    batch: int,
    size: tuple[int, int],
    device: str,
    weight: float = 1.0,
    boxes: int = 7,
) -> Side:
    """Build the model, optimiser and one batch of a config.

    Args:
        name (str): What the table calls it.
        cfg (Config): A training config; its pipeline makes the batch from random images.
        batch (int): Images.
        size (tuple[int, int]): (H, W) of the random images, in pixels.
        device (str): 'cpu' or 'cuda'.
        weight (float): The schedule's weight of the contrast. Defaults to 1.0.
        boxes (int): Objects in each image, in detection. Defaults to 7.
    """
    if any(hook.get('type') == DISTILL_HOOK for hook in cfg.get('custom_hooks') or []):
        raise ValueError(f'{name} learns from a teacher, which is not timed here; give the config without it')
    scope = cfg.get('default_scope') or 'mmdet'
    with DefaultScope.overwrite_default_scope(scope):
        set_random_seed(0)
        model: Any = MODELS.build(model_config(cfg)).to(device).train()
        pipeline = Compose([step for step in pipeline_of(cfg) if 'Load' not in step['type']])
        rng = np.random.default_rng(0)
        data = pseudo_collate([pipeline(raw_sample(rng, scope, cfg, size, boxes)) for _ in range(batch)])
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    # From random weights and without a warm-up, a few steps at the recipe's rate end in NaN; the arithmetic is as much.
    for group in optimizer.optimizer.param_groups:
        group['lr'] = 0.0
    if has_cds(cfg):
        TwoViewForward(model).attach().begin_step(weight, seed=0)

    def step(check: bool = False) -> None:
        ready = model.data_preprocessor(data, True)
        with optimizer.optim_context(model):
            losses = model(**ready, mode='loss')
        total, _ = model.parse_losses(losses)
        if check and not torch.isfinite(total):
            raise ValueError(f'{name}: the loss is {float(total)}, so what was timed is no training step')
        optimizer.update_params(total)

    return Side(name, step, build=partial(make_side, name, cfg, batch, size, device, weight, boxes))


def time_sides(sides: Sequence[Side], rounds: int, steps: int, device: str) -> None:
    """Time all sides alternately, after a round that does not count, and count the operations of a step.

    Args:
        sides (Sequence[Side]): Get their ``seconds`` and ``flops``.
        rounds (int): Rounds; in each, every side takes ``steps`` steps.
        steps (int): Steps of a side in a round.
        device (str): 'cpu' or 'cuda'.
    """
    cuda = device.startswith('cuda')
    if not cuda:
        keep_freed_memory()
    order = random.Random(0)
    for number in range(rounds + 1):
        # In another order each time, so that neither a drift of the machine nor who came before favours one.
        for side in order.sample(sides, len(sides)):
            if cuda:
                torch.cuda.synchronize()
            begun = time.perf_counter()
            for _ in range(steps):
                side.step()
            if cuda:
                torch.cuda.synchronize()
            if number:
                side.seconds.append((time.perf_counter() - begun) / steps)
    for side in sides:
        with FlopCounterMode(display=False) as counter:
            side.step(check=True)
        side.flops = counter.get_total_flops()


def count_kernels(sides: Sequence[Side]) -> None:
    """Count the kernels of a step of each side, copies and fills apart. On a GPU only."""
    for side in sides:
        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            side.step()
            torch.cuda.synchronize()
        events = [each for each in profiler.events() if each.device_type == torch.autograd.DeviceType.CUDA]
        side.kernels = sum(not each.name.startswith(('Memcpy', 'Memset')) for each in events)


def measure_memory(sides: Sequence[Side]) -> None:
    """The peak of two steps of each side, beyond what the libraries take; on a CPU in a process of its own."""
    for side in sides:
        if torch.cuda.is_available():
            # The GPU's allocator counts exactly, also beside what this process holds already.
            side.memory = _peak_of(side.build)
            continue
        with multiprocessing.get_context('spawn').Pool(1) as pool:
            side.memory = pool.apply(_peak_of, (side.build,))


def _peak_of(build: Callable[[], Side] | None) -> float:
    import kornia.augmentation  # noqa: F401  or the side that wants it first would pay for it

    assert build is not None
    build()  # what is imported on the way is not the model's
    gc.collect()
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / 2**20
    else:
        begin_peak()
        before = peak_mib()
    side = build()
    for _ in range(2):
        side.step()
    return (torch.cuda.max_memory_allocated() / 2**20 if cuda else peak_mib()) - before


def ratios_of(side: Side, reference: Side) -> np.ndarray:
    """A side's seconds over those of another one, round by round."""
    return np.array(side.seconds) / np.array(reference.seconds)


def ratio_table(sides: Sequence[Side]) -> str:
    """A Markdown table of all sides; ratios to the first one are taken round by round."""
    reference = sides[0]
    heads = ['config', 's / step (median)', 'ratio (median)', 'lowest .. highest', 'operations']
    heads += ['kernels'] if reference.kernels else []
    heads += ['MiB at the peak'] if reference.memory else []
    lines = []
    for side in sides:
        ratios = ratios_of(side, reference)
        cells = [side.name, f'{np.median(side.seconds):.3f}', f'{np.median(ratios):.2f}']
        cells += [f'{ratios.min():.2f} .. {ratios.max():.2f}', f'{side.flops / reference.flops:.2f}']
        if reference.kernels:
            cells.append(f'{side.kernels} ({side.kernels / reference.kernels:.2f} x)')
        if reference.memory:
            cells.append(f'{side.memory:.0f} ({side.memory / reference.memory:.2f} x)')
        lines.append(cells)
    return markdown_table(heads, lines)


def pipeline_of(cfg: Config) -> list[dict]:
    """The training pipeline, also inside wrappers of data sets."""
    dataset = cfg.train_dataloader.dataset
    while 'pipeline' not in dataset:
        dataset = dataset.dataset
    return list(dataset.pipeline)


def raw_sample(rng: np.random.Generator, scope: str, cfg: Config, size: tuple[int, int], count: int) -> dict[str, Any]:
    """What a pipeline gets after loading: a random image, with a class or with boxes of three classes."""
    height, width = size
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    raw: dict[str, Any] = {'img': image, 'img_shape': size, 'ori_shape': size, 'img_path': '', 'sample_idx': 0}
    if scope == 'mmpretrain':
        return {**raw, 'gt_label': int(rng.integers(cfg.model.head.num_classes))}
    from mmdet.structures.bbox import HorizontalBoxes

    corner = rng.uniform(0, 0.6, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.1, 0.4, (count, 2))], 1) * [width, height, width, height]
    return {
        **raw,
        'img_id': 0,
        'gt_bboxes': HorizontalBoxes(boxes.astype(np.float32)),
        'gt_bboxes_labels': rng.integers(0, 3, count),
        'gt_ignore_flags': np.zeros(count, dtype=bool),
    }
