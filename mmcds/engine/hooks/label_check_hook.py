"""Hook that reports a label out of the head's range; torch only says that a target is out of bounds."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmcds.registry import HOOKS


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Checks the labels of every training batch against ``head.num_classes`` of a classifier.

    The batch is checked where the data loader left it, which does not sync a GPU. ``tools/train.py`` adds the hook
    to every classification config.

    Raises:
        ValueError: If a label is out of range, naming the image.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Check one batch."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        classes = getattr(getattr(model, 'head', None), 'num_classes', None)
        if not isinstance(classes, int) or not isinstance(data_batch, dict):
            return
        for sample in data_batch.get('data_samples') or []:
            for label in sample.get('gt_label', []):
                if not 0 <= int(label) < classes:
                    where = sample.metainfo.get('img_path') or f'image {sample.metainfo.get("sample_idx", "?")}'
                    remedy = f'set num_classes to {int(label) + 1} or more, or ' if label >= 0 else ''
                    raise ValueError(
                        f'label {int(label)} of {where} is out of range for model.head.num_classes={classes}; '
                        f'{remedy}mend the annotation'
                    )
