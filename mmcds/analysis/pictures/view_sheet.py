"""Training images in their views, one or two, as the model receives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, FUNCTIONS, MODELS, DefaultScope, init_default_scope
from mmengine.runner import set_random_seed
from torch import Tensor

from mmcds.config.add_cds import has_cds
from mmcds.config.load_config import model_config
from mmcds.config.resolved import ResolvedCDS
from mmcds.models.necks import supervised_model
from mmcds.models.samplers import PixelSampler
from mmcds.models.views.photometric import normalisation_of, white_of
from mmcds.utils.boxes import as_rotated
from mmcds.utils.errors import check_count


@dataclass
class TwoViews:
    """One training image in its views; each tuple has an entry per view.

    Attributes:
        images (tuple[np.ndarray, ...]): (h, w, 3) uint8 RGB, padding included.
        boxes (tuple[np.ndarray, ...]): (n, 4) as (x1, y1, x2, y2), or rotated (n, 5) as (cx, cy, w, h, angle),
            in pixels of each view and radians; row k of both is the same object.
        labels (np.ndarray): Class of each box (n,), int64.
        label (int): Class of the image, -1 where it has none.
        points (tuple[np.ndarray, ...]): Pixels that a PixelSampler chose (m, 2) as (x, y), in each view.
        classes (np.ndarray): Class of each of them (m,), int64.
    """

    images: tuple[np.ndarray, ...]
    boxes: tuple[np.ndarray, ...]
    labels: np.ndarray
    label: int
    points: tuple[np.ndarray, ...]
    classes: np.ndarray


def training_views(cfg: Config, num: int = 6, seed: int = 0) -> tuple[list[TwoViews], list[str]]:
    """Take images of the training set through pipeline, preprocessor and, where there is one, second view.

    Args:
        cfg (Config): A config with CDS.
        num (int): Images, spread evenly over the set, >= 1. Defaults to 6.
        seed (int): Of all augmentation. Defaults to 0.

    Returns:
        tuple[list[TwoViews], list[str]]: The images, and the names of the classes.

    Raises:
        ValueError: If the config has no CDS, or its second view cannot be made.
    """
    check_count('num', num, 1)
    if not has_cds(cfg):
        raise ValueError('the config has no CDS; give a config with a CDSNeck, or --cds')
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    set_random_seed(seed)
    resolved = ResolvedCDS.of(supervised_model(cfg).neck)
    view = resolved.supervision.view
    preprocessor: Any = build_preprocessor(cfg)
    dataset: Any = DATASETS.build(cfg.train_dataloader.dataset)
    places = sorted(set(np.linspace(0, len(dataset) - 1, min(num, len(dataset))).astype(int).tolist()))
    collate: Any = pseudo_collate
    if cfg.train_dataloader.get('collate_fn'):
        # As MMEngine's Runner builds it.
        arguments = dict(cfg.train_dataloader.collate_fn)
        collate = partial(FUNCTIONS.get(arguments.pop('type')), **arguments)
    data = preprocessor(collate([dataset[place] for place in places]), True)
    inputs = data['inputs']
    second, views = view(inputs, data['data_samples'], preprocessor)
    sampler = resolved.supervision.sampler
    rows = torch.zeros(2, 0, 3)
    chosen = torch.zeros(0, dtype=torch.long)
    if isinstance(sampler, PixelSampler):
        samples = sampler.sample(views)
        rows, chosen = torch.stack(samples.rois), samples.labels
    pictures = [to_pictures(each, preprocessor) for each in (inputs, second) if each is not None]
    numbers = range(len(pictures))
    found = [
        TwoViews(
            tuple(pictures[v][i] for v in numbers),
            tuple(views.boxes[v][i].numpy() for v in numbers),
            views.labels[i].numpy(),
            int(views.image_labels[i]),
            tuple(rows[v, rows[v, :, 0] == i, 1:].numpy() for v in numbers),
            chosen[rows[0, :, 0] == i].numpy(),
        )
        for i in range(len(places))
    ]
    return found, [str(name) for name in (dataset.metainfo or {}).get('classes') or ()]


def build_preprocessor(cfg: Config) -> Any:
    """The data preprocessor of a config, as its model would build it."""
    found = dict(model_config(cfg).data_preprocessor)
    if (cfg.get('default_scope') or 'mmdet') == 'mmpretrain':
        # mmpretrain's classifiers fill in what their configs leave out.
        found.setdefault('type', 'ClsDataPreprocessor')
        found.setdefault('batch_augments', cfg.model.get('train_cfg'))
    # A config that inherits from another package has a scope of its own.
    with DefaultScope.overwrite_default_scope(cfg.model.get('_scope_') or cfg.get('default_scope') or 'mmdet'):
        return MODELS.build(found)


def to_pictures(inputs: Tensor, preprocessor: Any) -> list[np.ndarray]:
    """Undo a preprocessor's normalisation: (N, C, H, W), C 3 or 1, to N pictures (H, W, 3), uint8 RGB."""
    inputs = inputs.float()
    mean, std, is_rgb = normalisation_of(preprocessor, inputs)
    pixels = inputs * std + mean
    try:
        pixels = pixels / (white_of(pixels, mean) or 255.0)
    except ValueError:
        # Normalised by the pipeline: from the darkest to the lightest.
        low, high = pixels.aminmax()
        pixels = (pixels - low) / (high - low)
    pictures = (pixels * 255).clamp(0, 255).round().to(torch.uint8).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    return [np.ascontiguousarray(picture if is_rgb else picture[..., ::-1]) for picture in pictures]


def draw_views(found: Sequence[TwoViews], classes: Sequence[str], title: str = '', columns: int = 2) -> Figure:
    """Draw all images, their views side by side, with the boxes of the objects that all of them show.

    Args:
        found (Sequence[TwoViews]): The images.
        classes (Sequence[str]): Names of the classes.
        title (str): Of the sheet. Defaults to ''.
        columns (int): Images side by side. Defaults to 2.

    Returns:
        Figure: To be saved by the caller.
    """
    columns, count = min(columns, len(found)), len(found[0].images)
    rows = -(-len(found) // columns)
    height, width = found[0].images[0].shape[:2]
    side = 3.0
    figure = Figure(figsize=(count * columns * side, rows * (side * height / width + 0.35) + 0.4), layout='constrained')
    axes = figure.subplots(rows, count * columns, squeeze=False).reshape(-1)
    for axis in axes:
        axis.set_axis_off()
    for i, views in enumerate(found):
        for v, image in enumerate(views.images):
            axis = axes[count * i + v]
            axis.imshow(image, interpolation='nearest')
            boxes = as_rotated(torch.as_tensor(views.boxes[v]))
            for (x, y, w, h, angle), label in zip(boxes, views.labels, strict=True):
                corner, turn = (float(x - w / 2), float(y - h / 2)), float(angle.rad2deg())
                patch = Rectangle(corner, float(w), float(h), angle=turn, rotation_point='center', fill=False)
                patch.set(edgecolor=f'C{label % 10}', linewidth=1.5)
                axis.add_patch(patch)
            if len(views.classes):
                colours = [f'C{label % 10}' for label in views.classes]
                axis.scatter(*views.points[v].T, s=8, c=colours, edgecolors='white', linewidths=0.4)
            name = f', {_name(classes, views.label)}' if views.label >= 0 else ''
            objects = f', {len(views.labels)} objects' if len(views.labels) else ''
            objects += f', {len(views.classes)} pixels' if len(views.classes) else ''
            axis.set_title(f'view {v + 1}: {image.shape[0]} x {image.shape[1]}{objects}{name}', fontsize=8)
    present = sorted({int(label) for views in found for label in (*views.labels, *views.classes)})
    if present:
        handles = [Rectangle((0, 0), 1, 1, fill=False, edgecolor=f'C{label % 10}') for label in present]
        names = [_name(classes, label) for label in present]
        figure.legend(handles, names, loc='outside lower center', ncols=8, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def _name(classes: Sequence[str], label: int) -> str:
    return classes[label] if label < len(classes) else str(label)
