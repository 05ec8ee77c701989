"""Hook that loads a teacher for the training of a student."""

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmcds.engine.load_teacher import check_pair, load_teacher
from mmcds.models.supervision import Teacher
from mmcds.registry import HOOKS


@HOOKS.register_module()
class DistillHook(Hook):
    """Knowledge distillation beside :class:`CDSHook`: the student follows the embeddings and logits of a teacher.

    ``distill`` of the CDSNeck sets what the student learns (:class:`~mmcds.models.losses.DistillationLoss`). The
    losses are called ``loss_distill_<tap>`` and ``loss_distill_logits`` and follow the schedule of the contrast.
    The CDSHook holds the teacher until training ends. The teacher is in no checkpoint and in no optimiser.

    Args:
        teacher (str): Its config: a path or ``'<package>::<path>'``, trained with CDS or without.
        checkpoint (str): Its weights. Required; its default, None, is refused when training begins.
        teacher_mode (str): 'eval', or 'train' for parity with the released code, whose teacher normalises by the
            batch. Defaults to 'eval'.

    Raises:
        ValueError, FileNotFoundError: If the teacher's config or checkpoint is missing, or does not fit the student.

    Example:
        >>> custom_hooks = [
        ...     dict(type='mmcds.CDSHook'),
        ...     dict(type='mmcds.DistillHook', teacher='configs/classification/cifar100/resnet152_cds.py',
        ...          checkpoint='work_dirs/resnet152_cds/epoch_300.pth'),
        ... ]
    """

    # After the CDSHook, which calls load().
    priority = 'BELOW_NORMAL'

    def __init__(self, teacher: str, checkpoint: str | None = None, teacher_mode: str = 'eval') -> None:
        self.config = teacher
        self.checkpoint = checkpoint
        self.teacher_mode = teacher_mode
        self._is_asked = False

    def load(self, student: nn.Module) -> Teacher:
        """Build the teacher for a student; the CDSHook calls it before training.

        Args:
            student (nn.Module): The model that is trained, without a wrapper such as DDP.
        """
        model = load_teacher(self.config, self.checkpoint)
        check_pair(student, model)
        self._is_asked = True
        return Teacher(model, self.teacher_mode).to(next(student.parameters()).device)

    def before_train(self, runner: Runner) -> None:
        """Raise if there is no CDSHook, which would have loaded the teacher."""
        if not self._is_asked:
            raise ValueError("mmcds.DistillHook works beside a CDSHook; add dict(type='mmcds.CDSHook') to custom_hooks")
        runner.logger.info(f'teacher {self.config} ({self.checkpoint}), in {self.teacher_mode} mode')
