"""mmdet's COCO metric, evaluated by faster-coco-eval."""

from functools import lru_cache
from importlib import import_module
from types import FunctionType
from typing import Any

from mmdet.evaluation.metrics import CocoMetric, coco_metric
from pycocotools.cocoeval import COCOeval

from mmcds.registry import METRICS


@lru_cache
def faster_evaluator() -> type:
    """The evaluator: matching and accumulation in C++, the summary by pycocotools.

    The package's own summary takes mAP at the largest of ``maxDets``, pycocotools' at 100 detections; mmdet sets
    ``maxDets`` to (100, 300, 1000), so the two differ where an image has more than 100 detections of a class.

    Returns:
        type: To be made from (ground truth, detections, 'bbox' or 'segm'), as pycocotools' ``COCOeval``.

    Raises:
        ImportError: If faster-coco-eval is not installed.
    """
    try:
        base: Any = import_module('faster_coco_eval.core').COCOeval_faster
    except ImportError as error:
        raise ImportError(
            "val_evaluator.type='mmcds.FasterCocoMetric' needs the package faster-coco-eval, which cannot be imported "
            f"({error}); run: pip install -r requirements/optional.txt, or use type='CocoMetric'"
        ) from error

    class FasterCocoEval(base):
        def __init__(self, ground_truth: Any, detections: Any, iou_type: str) -> None:
            super().__init__(ground_truth, detections, iou_type, print_function=print)

        def summarize(self) -> None:
            COCOeval.summarize(self)

    return FasterCocoEval


def compute_with(evaluator: Any, metric: CocoMetric, results: list) -> dict[str, float]:
    """``CocoMetric.compute_metrics`` with another evaluator.

    mmdet names its evaluator as a global of the module, so the function runs here with globals of its own.

    Args:
        evaluator: Makes an evaluator from (ground truth, detections, 'bbox' or 'segm').
        metric (CocoMetric): The metric, built.
        results (list): What its ``process`` kept: a pair (ground truth, prediction) per image.

    Returns:
        dict[str, float]: ``bbox_mAP`` and so on.
    """
    names = {**vars(coco_metric), 'COCOeval': evaluator}
    return FunctionType(CocoMetric.compute_metrics.__code__, names)(metric, results)


@METRICS.register_module()
class FasterCocoMetric(CocoMetric):
    """mmdet's ``CocoMetric`` with another evaluator: the same numbers under the same names, in less time.

    'bbox', 'segm' and 'proposal' are evaluated by faster-coco-eval (https://github.com/MiXaiLL76/faster_coco_eval);
    'proposal_fast' stays mmdet's own. How much faster it is stands in ``docs/cost/coco_eval.md``.

    Args:
        *args: As for ``CocoMetric``.
        use_mp_eval (bool): Not together with this evaluator. Defaults to False.
        **kwargs: As for ``CocoMetric``.

    Raises:
        ImportError: If faster-coco-eval is not installed.
        ValueError: If ``use_mp_eval`` is set.

    Example:
        >>> val_evaluator = dict(type='mmcds.FasterCocoMetric', ann_file='data/coco/annotations/instances_val2017.json')
    """

    def __init__(self, *args: Any, use_mp_eval: bool = False, **kwargs: Any) -> None:
        if use_mp_eval:
            raise ValueError(
                'FasterCocoMetric.use_mp_eval=True names another evaluator; leave it out, '
                "or use type='CocoMetric' with it"
            )
        faster_evaluator()  # what is missing is said before the training, not after its first epoch
        super().__init__(*args, **kwargs)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics of ``CocoMetric.compute_metrics``.

        Args:
            results (list): What :meth:`process` kept: a pair (ground truth, prediction) per image.

        Returns:
            dict[str, float]: ``bbox_mAP`` and so on.
        """
        return compute_with(faster_evaluator(), self, results)
