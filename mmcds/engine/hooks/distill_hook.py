"""Brings a teacher to the student's training."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmcds.engine.load_teacher import check_pair, load_teacher
from mmcds.models.teacher import Teacher
from mmcds.registry import HOOKS

from .cds_hook import CDSHook


@HOOKS.register_module()
class DistillHook(Hook):
    """Knowledge distillation beside :class:`CDSHook`: the student follows the embeddings and logits of a teacher.

    What is learned from it is ``distill`` of the CDSNeck (:class:`~mmcds.models.losses.DistillationLoss`);
    the losses are called ``loss_distill_<tap>`` and ``loss_distill_logits`` and follow the schedule of the
    contrast. The teacher is held by this hook alone: it is in no checkpoint and in no optimiser, and
    it is let go after training.

    Args:
        teacher (str): Its config: a path or ``'<package>::<path>'``, trained with CDS or without.
        checkpoint (str): Its weights.
        teacher_mode (str): 'eval', or 'train' for parity with the released code, whose teacher normalises by the
            batch. Defaults to 'eval'.

    Raises:
        ValueError, FileNotFoundError: If the teacher's config or checkpoint is missing or does not fit, or the student.

    Example:
        >>> custom_hooks = [
        ...     dict(type='mmcds.CDSHook'),
        ...     dict(type='mmcds.DistillHook', teacher='configs/classification/cifar100/resnet152_cds.py',
        ...          checkpoint='work_dirs/resnet152_cds/epoch_300.pth'),
        ... ]
    """

    # After CDSHook has put its torch hooks on.
    priority = 'BELOW_NORMAL'

    def __init__(self, teacher: str, checkpoint: str | None = None, teacher_mode: str = 'eval') -> None:
        self.config = teacher
        self.checkpoint = checkpoint
        self.teacher_mode = teacher_mode

    def before_train(self, runner: Runner) -> None:
        """Build the teacher and hand it to the student's two-view forward."""
        hooks = [hook for hook in runner.hooks if isinstance(hook, CDSHook)]
        two_views = hooks[0].two_views if hooks else None
        if two_views is None:
            raise ValueError("mmcds.DistillHook works beside a CDSHook; add dict(type='mmcds.CDSHook') before it")
        model = load_teacher(self.config, self.checkpoint)
        student = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check_pair(student, model)
        two_views.teacher = Teacher(model, self.teacher_mode).to(next(student.parameters()).device)
        runner.logger.info(f'teacher {self.config} ({self.checkpoint}), in {self.teacher_mode} mode')

    def after_train(self, runner: Runner) -> None:
        """Let the teacher go."""
        for hook in runner.hooks:
            if isinstance(hook, CDSHook) and hook.two_views is not None:
                hook.two_views.teacher = None
