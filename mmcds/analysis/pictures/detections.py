"""Detections beside the ground truth, as one picture of several images."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmcds.analysis.metrics.matching import assign_detections, match_detections, without_ignored
from mmcds.analysis.probing.probe_data import evaluation_pipeline
from mmcds.checkpoints.trained_model import load_trained
from mmcds.datasets.transforms.loading import read_picture

from .box_labels import COLOURS, LabelVisualizer, Remark

_TILE = 420  # pixels: smaller images are enlarged to it, so that labels do not cover the objects


@dataclass
class Example:
    """One image with its objects and detections.

    Attributes:
        name (str): The file's name.
        image (np.ndarray): ``(H, W, 3)`` uint8, RGB.
        truth (InstanceData): ``bboxes`` ``(G, 4)`` float32, ``x1, y1, x2, y2`` in pixels of ``image``, and
            ``labels`` ``(G,)`` int64.
        found (InstanceData): The same of the detections, and ``scores`` ``(P,)`` in [0, 1], descending; without those
            on crowds, which COCO's evaluation ignores.
    """

    name: str
    image: np.ndarray
    truth: InstanceData
    found: InstanceData


def detect(
    cfg: Config, checkpoint: str, num: int = 8, score_thr: float = 0.3, device: str = 'cpu'
) -> Iterator[Example]:
    """Run a detector on images of its validation set, evenly spread over the set.

    Args:
        cfg (Config): A full config; its ``val_dataloader`` gives images and pipeline.
        checkpoint (str): Weights to load.
        num (int): Number of images, at least 1; no more than the set has. Defaults to 8.
        score_thr (float): Detections of a smaller score are left out, in [0, 1]. Defaults to 0.3.
        device (str): Where the model runs. Defaults to 'cpu'.

    Yields:
        Example: One image, in the set's order.

    Raises:
        ValueError: If ``num`` or ``score_thr`` is out of range, the checkpoint is not this model's, or the config has
            no validation set, or an empty one.
    """
    if num < 1:
        raise ValueError(f'num={num} must be at least 1')
    if not 0 <= score_thr <= 1:
        raise ValueError(f'score_thr={score_thr} must be in [0, 1]')
    if not cfg.get('val_dataloader'):
        raise ValueError('val_dataloader is missing in the config; detections are drawn of its images')
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    model, _ = load_trained(cfg, checkpoint, device)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    if not len(dataset):
        raise ValueError('val_dataloader.dataset has no images; name another annotation file or data_root')
    for index in sorted(set(np.linspace(0, len(dataset) - 1, min(num, len(dataset))).astype(int).tolist())):
        data = dataset[index]
        with torch.no_grad():
            result = model.test_step({'inputs': [data['inputs']], 'data_samples': [data['data_samples']]})[0]
        # From the annotation itself: whether the sample's own boxes are rescaled is up to the pipeline.
        info = dataset.get_data_info(index)
        truth, ignored = (
            _instances([each for each in info['instances'] if bool(each.get('ignore_flag')) is flag])
            for flag in (False, True)
        )
        found = result.pred_instances.cpu()
        found = found[found.scores >= score_thr]
        found = without_ignored(found[found.scores.argsort(descending=True)], truth, ignored)
        image = read_picture(info['img_path'], evaluation_pipeline(cfg))
        yield Example(Path(info['img_path']).name, image, truth, found)


def _instances(annotations: Sequence[Any]) -> InstanceData:
    return InstanceData(
        bboxes=torch.tensor([each['bbox'] for each in annotations], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([each['bbox_label'] for each in annotations], dtype=torch.long),
    )


def draw_example(example: Example, classes: Sequence[str], palette: Any, tile: int = _TILE) -> tuple[np.ndarray, str]:
    """Draw one image twice, left with its objects and right with the detections, and count them.

    Args:
        example (Example): The image.
        classes (Sequence[str]): Names of the classes.
        palette (Any): A colour per class or a palette's name, as in mmdet's ``dataset_meta``.
        tile (int): Longer side of each half, in pixels. Defaults to 420.

    Returns:
        tuple[np.ndarray, str]: ``(H, W, 3)`` uint8 RGB, and a caption of one line.
    """
    image, scale = _enlarged(example.image, tile)
    right, taken = match_detections(example.found, example.truth)
    sample = DetDataSample(
        gt_instances=_labelled(
            example.truth, classes, scale, [Remark.NONE if each else Remark.MISSED for each in taken]
        ),
        pred_instances=_labelled(
            example.found, classes, scale, [Remark.NONE if each else Remark.WRONG for each in right]
        ),
    )
    caption = (
        f'{example.name}: {len(taken)} objects, {int(taken.sum())} found, '
        f'{len(taken) - int(taken.sum())} missed, {len(right) - int(right.sum())} wrong'
    )
    return _drawn(image, sample, classes, palette), caption


def draw_change(
    base: Example, other: Example, classes: Sequence[str], palette: Any, tile: int = _TILE
) -> tuple[np.ndarray, str]:
    """Draw one image twice, with one model's detections on the left and another's on the right, and list the changes.

    Objects that only the other model finds are marked 'gained' on the right, those that only the first one finds
    'lost' on the left; objects that neither finds are marked 'missed' and detections that are wrong 'wrong' on
    either side.

    Args:
        base (Example): The image with the first model's detections.
        other (Example): The same image with the other's.
        classes (Sequence[str]): Names of the classes.
        palette (Any): A colour per class or a palette's name, as in mmdet's ``dataset_meta``.
        tile (int): Longer side of each half, in pixels. Defaults to 420.

    Returns:
        tuple[np.ndarray, str]: ``(H, W, 3)`` uint8 RGB, and a caption of one line.

    Raises:
        ValueError: If they are not of the same image.
    """
    if base.name != other.name or len(base.truth) != len(other.truth):
        raise ValueError(f'{base.name} and {other.name} are not one image; give both models the same validation set')
    assigned = [assign_detections(each.found, each.truth) for each in (base, other)]
    objects = [set(each[each >= 0].tolist()) for each in assigned]
    lost, gained = objects[0] - objects[1], objects[1] - objects[0]
    missed = [place for place in range(len(base.truth)) if place not in objects[0] | objects[1]]
    halves = []
    for example, places, changed, remark in (
        (base, assigned[0], lost, Remark.LOST),
        (other, assigned[1], gained, Remark.GAINED),
    ):
        image, scale = _enlarged(example.image, tile)
        remarks = [
            Remark.WRONG if place < 0 else remark if place in changed else Remark.NONE for place in places.tolist()
        ]
        shown = _labelled(example.found, classes, scale, remarks)
        places_missed = torch.tensor(missed, dtype=torch.long)
        nobody = _labelled(example.truth[places_missed], classes, scale, [Remark.MISSED] * len(missed))
        # A score of zero is not written beside the class.
        nobody.scores = torch.zeros(len(nobody))
        shown = InstanceData.cat([nobody, shown])
        halves.append(_drawn(image, DetDataSample(pred_instances=shown), classes, palette))
    wrong = [int((each < 0).sum()) for each in assigned]
    caption = (
        f'{base.name}: {len(base.truth)} objects, found {len(objects[0])} -> {len(objects[1])} '
        f'(gained {len(gained)}, lost {len(lost)}), wrong {wrong[0]} -> {wrong[1]}'
    )
    return np.concatenate(halves, axis=1), caption


def contact_sheet(
    pictures: Sequence[tuple[np.ndarray, str]], title: str = '', columns: int = 2, remarks: Sequence[Remark] = ()
) -> Figure:
    """Put pictures of :func:`draw_example` or :func:`draw_change` on one sheet.

    Args:
        pictures (Sequence[tuple[np.ndarray, str]]): Pictures with captions, at least one.
        title (str): Title of the sheet. Defaults to ''.
        columns (int): Pictures side by side. Defaults to 2.
        remarks (Sequence[Remark]): Those whose colours a legend explains. Defaults to none.

    Returns:
        Figure: To be saved by the caller.

    Raises:
        ValueError: If there is no picture.
    """
    if not pictures:
        raise ValueError('pictures is empty; is the validation set empty?')
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    height, width = (max(picture.shape[i] for picture, _ in pictures) for i in (0, 1))
    figure = Figure(figsize=(columns * width / 130 + 0.2, rows * (height / 130 + 0.35) + 0.6), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (picture, caption) in zip(axes.flat, pictures, strict=False):
        axis.imshow(picture)
        axis.axvline(picture.shape[1] / 2 - 0.5, color='white', linewidth=3)
        axis.set_title(caption, fontsize=9)
    figure.suptitle(title, fontsize=11)
    legend = [Patch(facecolor=COLOURS[remark][1], label=remark.value.strip() or 'right') for remark in remarks]
    if legend:
        figure.legend(handles=legend, loc='outside lower center', ncols=len(legend), fontsize=9, frameon=False)
    return figure


def _enlarged(image: np.ndarray, tile: int) -> tuple[np.ndarray, float]:
    scale = tile / max(image.shape[:2])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), scale


def _drawn(image: np.ndarray, sample: DetDataSample, classes: Sequence[str], palette: Any) -> np.ndarray:
    visualizer = LabelVisualizer(line_width=2, alpha=0.9)
    visualizer.dataset_meta = {'classes': classes, 'palette': palette}
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='.*out of bounds')  # boxes may reach over the border
        visualizer.add_datasample('example', image, sample, draw_gt='gt_instances' in sample, pred_score_thr=-1)
    return visualizer.get_image()


def _labelled(instances: InstanceData, classes: Sequence[str], scale: float, remarks: Sequence[Remark]) -> InstanceData:
    """The instances on the enlarged image, with remarks behind their classes, the best first."""
    shown = InstanceData(bboxes=instances.bboxes * scale, labels=instances.labels)
    if 'scores' in instances:
        shown.scores = instances.scores
    names = [classes[label] for label in instances.labels.tolist()]
    shown.label_names = [f'{name}{remark.value}' for name, remark in zip(names, remarks, strict=True)]
    return shown
