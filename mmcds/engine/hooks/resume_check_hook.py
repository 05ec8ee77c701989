"""Hook that refuses to resume the checkpoint of another model."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint

from mmcds.config.resolved import NECK
from mmcds.engine.weights import check_resumed, unwrapped
from mmcds.models.necks import changed_defaults, supervised_model
from mmcds.registry import HOOKS
from mmcds.utils.type_name import type_name


@HOOKS.register_module()
class ResumeCheckHook(Hook):
    """Compares a checkpoint that is resumed with the model, before anything of it is loaded.

    ``tools/train.py`` registers it in every run, with CDS and without; it is not in the config that a run dumps.
    A checkpoint that is only loaded (``load_from``) is not checked.

    Raises:
        ValueError: If the checkpoint was trained with another model, naming what differs, or before defaults changed
            that the config relies on.

    Example:
        >>> custom_hooks = [dict(type='mmcds.ResumeCheckHook')]
    """

    # Before the EMAHook, which loads the same checkpoint.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check the checkpoint before it is loaded into the model."""
        check_resumed_by(runner, checkpoint)


def check_resumed_by(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Check a resumed checkpoint. :class:`CDSHook` calls it, too, for a user's own train.py."""
    resume: bool | str = runner._resume  # a FlexibleRunner's may be the path
    if not resume:
        return
    path = resume if isinstance(resume, str) else runner._load_from or find_latest_checkpoint(runner.work_dir)
    check_resumed(unwrapped(runner.model), checkpoint, path or 'the checkpoint')
    if 'mmcds_version' in (checkpoint.get('meta') or {}) or not runner.cfg.get('model'):
        return
    neck = supervised_model(runner.cfg).get('neck')
    changed = changed_defaults(neck) if type_name(neck) == NECK else {}
    if changed:
        options = ' '.join(f'model.neck.{key}={value}' for key, value in changed.items())
        raise ValueError(
            f'{path} was begun by mmcds before 0.2, which had other defaults; to go on as it began, add --cfg-options '
            f'{options}'
        )
