"""Hook that switches the contrast on before training and off after it."""

import math
from collections.abc import Sized
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from mmcds.config.schedule import ContrastSchedule
from mmcds.engine.weights import unwrapped
from mmcds.models.data_samples.sample_list import has_unlabelled
from mmcds.models.forward import TwoViewForward
from mmcds.models.necks import find_supervision, supervised_part
from mmcds.registry import HOOKS
from mmcds.version import __version__

from .diagnostics_hook import DiagnosticsHook
from .distill_hook import DistillHook
from .resume_check_hook import check_resumed_by

#: Iterations without anything to contrast after which a warning says so.
PATIENCE = 50
#: What the names of the queues' buffers have in common.
QUEUES = 'neck.cds.queues.'


@HOOKS.register_module()
class CDSHook(Hook):
    """Contrastive deep supervision of a model whose neck is a CDSNeck.

    Before training it puts torch hooks on the model (:class:`~mmcds.models.TwoViewForward`), with the teacher of a
    :class:`DistillHook` and the meter of a :class:`DiagnosticsHook`. Before each iteration it begins a step with the
    weight of the schedule and a seed. After training it takes the hooks off. The seed is a function of the run's seed,
    the iteration and the rank: a resumed run draws the same second views, and the task's own random numbers stay the
    stock's.

    A data set of one class gets negatives (:meth:`~mmcds.models.supervision.Supervision.adapt_to_one_class`). One
    warning is logged if the first :data:`PATIENCE` iterations have nothing to contrast.

    Args:
        schedule (dict, optional): Arguments of :class:`ContrastSchedule`. Defaults to None: constant.

    Raises:
        ValueError: If the schedule is not valid; before training, if there is a second CDSHook, or ``distill`` without
            a :class:`DistillHook`; after the first iteration, if the model was not called with ``mode='loss'``, so that
            it trains without the contrast.

    Example:
        >>> custom_hooks = [dict(type='mmcds.CDSHook', schedule=dict(warmup=0.02, stop=0.9))]
    """

    # Before the EMAHook, which loads the checkpoint that is checked here.
    priority = 'ABOVE_NORMAL'

    def __init__(self, schedule: dict | None = None) -> None:
        self.schedule = ContrastSchedule.from_cfg(schedule)
        #: The torch hooks on the model during training.
        self.two_views: TwoViewForward | None = None
        #: Number of iterations in a row with a contrast of 0; None after the first other one.
        self._empty: int | None = 0
        #: Whether the log says what is supervised.
        self._told = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse to resume the checkpoint of another model, also in a user's own train.py.

        Of a checkpoint that is only loaded, the queues are not taken: their labels are another data set's.
        """
        check_resumed_by(runner, checkpoint)
        if not runner._resume:
            forget_queues(runner.model, checkpoint)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note the version, whose defaults the run has."""
        checkpoint.setdefault('meta', {})['mmcds_version'] = __version__

    def before_train(self, runner: Runner) -> None:
        """Attach the torch hooks. Raises on a model without a CDSNeck."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        count = sum(isinstance(hook, CDSHook) for hook in runner.hooks)
        if count > 1:
            raise ValueError(f'custom_hooks has {count} CDSHooks, and each adds the contrast; keep one')
        dataset = getattr(runner.train_dataloader, 'dataset', None)
        # With a static graph DDP waits for the last gradient of a parameter.
        one_gradient = isinstance(runner.model, DistributedDataParallel) and not runner.model.static_graph
        options: dict[str, Any] = {'has_unlabelled': has_unlabelled(dataset), 'one_gradient': one_gradient}
        for hook in runner.hooks:
            if isinstance(hook, DistillHook):
                options['teacher'] = hook.load(model)
            elif isinstance(hook, DiagnosticsHook):
                options['meter'] = hook.meter()
        if getattr(find_supervision(model), 'distill', None) is not None and 'teacher' not in options:
            raise ValueError(
                'model.neck.distill is set, but custom_hooks has no DistillHook, which loads the teacher; add '
                "dict(type='mmcds.DistillHook', teacher=<its config>, checkpoint=<its weights>), or remove distill"
            )
        self.two_views = TwoViewForward(model, **options).attach()
        self._empty, self._told = 0, False
        if count_classes(model, dataset) == 1:
            self.two_views.supervision.adapt_to_one_class()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Set the weight and the seed of this iteration."""
        assert self.two_views is not None  # before_train ran
        iteration, loop = runner.iter, runner.train_loop
        # IterBased loops report one epoch, so use the length of the data loader.
        per_epoch = batches_of(runner.train_dataloader)
        if isinstance(loop, IterBasedTrainLoop):
            per_epoch = min(per_epoch, runner.max_iters)
        weight = self.schedule.factor(iteration, max(runner.max_iters, 1), per_epoch)
        self.two_views.begin_step(weight, self._seed(runner.seed or 0, iteration))
        runner.message_hub.update_scalar('train/cds_weight', weight)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Say once what is supervised; fail if the contrast was not part of the iteration; warn if it stays 0."""
        assert self.two_views is not None  # before_train ran
        if self.two_views.steps == 0:
            raise ValueError(
                f'{type(self.two_views.model).__name__} trains without the contrast: its forward was not called with '
                "mode='loss'; let train_step call self(**data, mode='loss') as mmengine's BaseModel does, or remove CDS"
            )
        supervision = self.two_views.supervision
        if self.two_views.strides and supervision.taps and not self._told:
            self._told = True
            for line in supervision.summary(self.two_views.strides):
                print_log(line, 'current')
        # Without negatives the loss is 0 up to rounding.
        least = 1e-5 * supervision.weight * max(supervision.loss_weights, default=0)
        if self._empty is None or least == 0:
            return
        # Read only until a loss is not 0, since reading syncs the device. NaN is not 0 either.
        if any(not abs(float(loss)) <= least for loss in self.two_views.added.values()):
            self._empty = None
            return
        self._empty += 1
        if self._empty == PATIENCE:
            self._empty = None
            runner.logger.warning(
                f'{PATIENCE} iterations found nothing to contrast, so {", ".join(self.two_views.added)} were 0: '
                f'{supervision.why_nothing()}'
            )

    def after_train(self, runner: Runner) -> None:
        """Remove the torch hooks."""
        if self.two_views is not None:
            self.two_views.detach()
            self.two_views = None

    @staticmethod
    def _seed(seed: int, iteration: int) -> int:
        # Two odd factors keep neighbouring seeds, iterations and ranks apart.
        mixed = (seed * 0x9E3779B1 + iteration) * get_world_size() + get_rank()
        return mixed * 0x85EBCA77 % torch.iinfo(torch.int64).max


def batches_of(loader: DataLoader) -> int:
    """Number of batches of one rank in an epoch, >= 1."""
    batches, dataset = len(loader), loader.dataset
    sampler: Any = getattr(loader.batch_sampler, 'sampler', loader.sampler)
    if isinstance(dataset, Sized) and len(sampler) == len(dataset):
        # MMEngine's InfiniteSampler reports the whole set, of which each rank gets a share.
        batches = math.ceil(batches / get_world_size())
    return max(batches, 1)


def forget_queues(model: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Put the model's own queues into a checkpoint that is loaded into it.

    Args:
        model (nn.Module): The model, also inside a wrapper.
        checkpoint (dict[str, Any]): Content of the file: weights, or a dict with ``state_dict``; changed in place.
    """
    own, weights = unwrapped(model).state_dict(), checkpoint.get('state_dict', checkpoint)
    for key in [key for key in weights if QUEUES in key]:
        if key in own:
            weights[key] = own[key]
        else:
            del weights[key]


def count_classes(model: Any, dataset: Any) -> int | None:
    """Number of classes of the data set, or else of the model's head; None if neither gives it."""
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    if classes is not None and not isinstance(classes, str):
        return len(classes)
    for path in ('bbox_head', 'roi_head.bbox_head', 'head', 'decode_head'):
        head: Any = supervised_part(model)
        for name in path.split('.'):
            head = getattr(head, name, None)
        count = getattr(head, 'num_classes', None)
        if isinstance(count, int):
            return count
    return None
