"""Calibration error as a metric of MMEngine."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from mmcds.registry import METRICS
from mmcds.utils.errors import check_count

from .calibration import reliability, top1_confidence


@METRICS.register_module()
class CalibrationError(BaseMetric):
    """Expected calibration error of a classifier, in percent (the paper: 11.92 -> 5.27 on CIFAR-100).

    Confidence is the largest class probability. It stands beside mmpretrain's ``Accuracy`` in an
    evaluator and logs ``calibration/ece`` and, if asked, ``calibration/mce``.

    Args:
        num_bins (int): Bins (low, high] of equal width in [0, 1], >= 1. Defaults to 15.
        maximum (bool): Whether to report the largest gap of any bin, too. Defaults to False.
        collect_device (str): Where results of several ranks are joined, 'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix (str, optional): In front of the names. Defaults to None: 'calibration'.

    Raises:
        ValueError: If ``num_bins`` is out of range.

    Example:
        >>> test_evaluator = [
        ...     dict(type='Accuracy', topk=(1, 5)),
        ...     dict(type='mmcds.CalibrationError'),
        ... ]
    """

    default_prefix = 'calibration'

    def __init__(
        self, num_bins: int = 15, maximum: bool = False, collect_device: str = 'cpu', prefix: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.num_bins = check_count('CalibrationError.num_bins', num_bins, 1)
        self.maximum = maximum

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep confidence and correctness of each prediction.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[Mapping]): With ``pred_score`` (C,), probabilities, and ``gt_label`` (1,), int64.

        Raises:
            ValueError: If one of them is missing, there are several labels, or the label is out of range.
        """
        for sample in data_samples:
            self.results.append(top1_confidence(*scores_and_label(sample)))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The errors of all predictions.

        Args:
            results (list[tuple[float, bool]]): Confidence and correctness of each prediction.

        Returns:
            dict[str, float]: 'ece' and, if asked, 'mce', in percent.
        """
        found = reliability([p for p, _ in results], [right for _, right in results], self.num_bins)
        return {'ece': found.expected_error, **({'mce': found.maximum_error} if self.maximum else {})}


def scores_and_label(sample: Mapping[str, Any]) -> tuple[Any, int]:
    """The class scores and the label of one data sample.

    Args:
        sample (Mapping): A data sample as a dict.

    Returns:
        tuple[np.ndarray, int]: (C,) and the class.

    Raises:
        ValueError: If one of them is missing or there is not exactly one label.
    """
    for field, remedy in (
        ('pred_score', "use a classification head that predicts it (softmax), such as 'LinearClsHead'"),
        ('gt_label', 'evaluate on a data set with labels, whose pipeline ends with PackInputs'),
    ):
        if field not in sample:
            present = ', '.join(sorted(str(key) for key in sample)) or 'nothing'
            raise ValueError(f'calibration needs {field!r}, the data sample has {present}; {remedy}')
    label = sample['gt_label'].reshape(-1)
    if len(label) != 1:
        raise ValueError(
            f'gt_label={label.tolist()} is not one class; calibration of the top-1 confidence is for single-label '
            'classification, remove CalibrationError from the evaluator'
        )
    return sample['pred_score'].detach().float().cpu().numpy(), int(label[0])
