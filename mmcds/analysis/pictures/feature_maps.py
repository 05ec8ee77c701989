"""Features of a tap on one image: norm, similarity to a location, and the channels that vary most."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from torch import Tensor

from mmcds.analysis.probing.probe_data import evaluation_pipeline
from mmcds.analysis.probing.tap_features import TapRecorder
from mmcds.checkpoints.trained_model import load_trained
from mmcds.datasets.transforms.loading import read_picture
from mmcds.utils.checkpoint_files import names_of
from mmcds.utils.errors import check_count
from mmcds.utils.type_name import bare_kind

from .view_sheet import to_pictures


@dataclass
class TapMaps:
    """The taps of one model on one image.

    Attributes:
        name (str): Of the model.
        picture (np.ndarray): The image as the model received it, without the preprocessor's padding: (h, w, 3) uint8
            RGB.
        maps (dict[str, Tensor]): By tap, (C, h', w'), float32, over the same part of the image.
        place (tuple[float, float] | None): A place in the picture, as shares of width and height. Defaults to None.
    """

    name: str
    picture: np.ndarray
    maps: dict[str, Tensor]
    place: tuple[float, float] | None = None


@torch.no_grad()
def tap_maps(
    cfg: Config,
    checkpoint: str | Path,
    image: str | Path,
    taps: Sequence[str] | None = None,
    device: str = 'cpu',
    place: tuple[float, float] | None = None,
) -> TapMaps:
    """Run a trained model on an image, through the test pipeline of its config.

    Args:
        cfg (Config): Its config, with CDS or without.
        checkpoint (str | Path): Its weights.
        image (str | Path): An image file.
        taps (Sequence[str], optional): Names of taps, outputs ('backbone.2') or modules inside the backbone
            ('backbone.layer2'). Defaults to None: all outputs of the backbone.
        device (str): Where the model runs. Defaults to 'cpu'.
        place (tuple[float, float], optional): x and y of a place, in pixels of the file. Defaults to None.

    Raises:
        FileNotFoundError, ValueError: If the checkpoint is not this model's, the image cannot be read, a tap is
            not known or no map, or the place is outside the image or cropped away.
    """
    if not Path(image).is_file():
        raise FileNotFoundError(f'image={str(image)!r} does not exist; give an image file')
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    model, _ = load_trained(cfg, checkpoint, device)
    steps = [step for step in evaluation_pipeline(cfg) if 'LoadAnnotations' not in bare_kind(step['type'])]
    loaded = read_picture(image, steps)
    raw = dict(img_path=str(image), img=loaded, img_id=0, img_shape=loaded.shape[:2], ori_shape=loaded.shape[:2])
    data = model.data_preprocessor(pseudo_collate([Compose(deepcopy(steps))(raw)]), False)
    inputs: Tensor = data['inputs']
    height, width = data['data_samples'][0].metainfo.get('img_shape', inputs.shape[2:])[:2]
    with TapRecorder(model, taps or ()) as recorder:
        model.extract_feat(inputs)
        names = taps or [name for name in recorder.tap_names() if name.startswith('backbone.')]
        found = {name: recorder.feature(name)[0].float().cpu() for name in names}
    flat = [name for name, value in found.items() if value.shape[1:] == (1, 1)]
    if flat:
        raise ValueError(f'taps={flat} are no maps but one number per channel; name taps before the pooling')
    # Padding is at the right and at the bottom, and nobody wants to see it.
    shares = height / inputs.shape[2], width / inputs.shape[3]
    maps = {
        name: value[:, : max(round(value.shape[1] * shares[0]), 1), : max(round(value.shape[2] * shares[1]), 1)]
        for name, value in found.items()
    }
    picture = to_pictures(inputs.cpu(), model.data_preprocessor.cpu())[0][: int(height), : int(width)]
    found_place = None
    if place is not None:
        x, y = find_place(steps, raw, place)
        found_place = (x + 0.5) / width, (y + 0.5) / height
    return TapMaps(names_of([checkpoint])[0], picture, maps, found_place)


def find_place(steps: Sequence[dict], raw: dict[str, Any], place: tuple[float, float]) -> tuple[int, int]:
    """Location after a pipeline of a point of the file: x and y in pixels of the output.

    An image whose colours are its coordinates goes through the same steps, whatever they resize, crop and pad. It is
    exact to a 255th of the image.

    Raises:
        ValueError: If the place is outside the image, or was cropped away.
    """
    height, width = raw['img'].shape[:2]
    if not (0 <= place[0] < width and 0 <= place[1] < height):
        raise ValueError(f'place={place} is outside the image of {width} x {height} pixels; give a place in it')
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    # The third channel tells the image from what is padded around it.
    coordinates = np.stack([x, y, np.full_like(x, 255)], 2).round().astype(np.uint8)
    kept = [step for step in steps if 'LoadImage' not in bare_kind(step['type'])]
    result = pseudo_collate([Compose(deepcopy(kept))({**raw, 'img': coordinates})])['inputs']
    found = torch.as_tensor(result[0] if isinstance(result, list) else result).float()
    wanted = found.new_tensor([place[0] / max(width - 1, 1), place[1] / max(height - 1, 1)]) * 255
    distance = (found[:2] - wanted[:, None, None]).norm(dim=0).masked_fill(found[2] < 200, torch.inf)
    if distance.min() > 8:
        raise ValueError(f'place={place}: the test pipeline crops it away; give a place that the model sees')
    row, column = divmod(int(distance.argmin()), distance.shape[1])
    return column, row


def strength(feature: Tensor) -> Tensor:
    """Norm of the feature at each location: (C, h, w) to (h, w), in [0, 1]."""
    return _stretch(feature.norm(dim=0))


def similarity(feature: Tensor, place: tuple[float, float]) -> Tensor:
    """Cosine similarity of each location to one of them.

    Args:
        feature (Tensor): (C, h, w), floating.
        place (tuple[float, float]): x and y as shares of width and height, in [0, 1].

    Returns:
        Tensor: (h, w), in [-1, 1].
    """
    unit = F.normalize(feature, dim=0)
    x, y = (min(int(share * size), size - 1) for share, size in zip(place, (unit.shape[2], unit.shape[1]), strict=True))
    return (unit * unit[:, y, x][:, None, None]).sum(0)


def liveliest(feature: Tensor, count: int) -> dict[int, Tensor]:
    """Channels that vary most over the image, by their number: (h, w) each, in [0, 1]."""
    spread = feature.flatten(1).std(1)
    chosen = spread.topk(min(count, len(feature))).indices.tolist()
    return {channel: _stretch(feature[channel]) for channel in chosen}


def _stretch(values: Tensor) -> Tensor:
    low, high = values.min(), values.max()
    return (values - low) / (high - low).clamp(min=1e-12)


def draw_heat(models: Sequence[TapMaps], title: str = '') -> Figure:
    """Draw heat maps over the image: one row per model, one column per tap.

    Cells are drawn as detectors read them: cell i of stride s covers the pixels from i s to (i + 1) s.

    Args:
        models (Sequence[TapMaps]): Of the same image. Where they have a place, similarity to it is drawn, otherwise
            strength.
        title (str): Of the figure. Defaults to ''.

    Returns:
        Figure: To be saved by the caller.
    """
    columns = [name for name in models[0].maps]
    height, width = models[0].picture.shape[:2]
    side = 2.6
    size = ((len(columns) + 1) * side + 0.6, len(models) * (side * height / width + 0.35) + 0.4)
    figure = Figure(figsize=size, layout='constrained')
    axes = figure.subplots(len(models), len(columns) + 1, squeeze=False)
    places = [model.place for model in models]
    limits = (0, 1) if places[0] is None else (-1, 1)
    drawn: Any = None
    for line, model in zip(axes, models, strict=True):
        height, width = model.picture.shape[:2]
        line[0].imshow(model.picture)
        line[0].set_title(model.name, fontsize=9)
        for axis, name in zip(line[1:], columns, strict=True):
            heat = strength(model.maps[name]) if model.place is None else similarity(model.maps[name], model.place)
            # Over grey, so that the colours are those of the bar.
            axis.imshow(model.picture.mean(2), cmap='gray', vmin=0, vmax=255)
            colours = 'inferno' if model.place is None else 'coolwarm'
            extent = (0, width, height, 0)
            drawn = axis.imshow(heat, cmap=colours, vmin=limits[0], vmax=limits[1], alpha=0.75, extent=extent)
            axis.set_title(f'{name}, {tuple(heat.shape)}', fontsize=9)
        for axis in line:
            axis.set(xticks=[], yticks=[])
            if model.place is not None:
                axis.plot(model.place[0] * width, model.place[1] * height, '+', color='black', ms=11, mew=3)
                axis.plot(model.place[0] * width, model.place[1] * height, '+', color='white', ms=9, mew=1.5)
    what = 'strength, each map stretched to [0, 1]' if places[0] is None else 'cosine similarity to the place marked +'
    figure.colorbar(drawn, ax=axes, shrink=0.7, label=what)
    figure.suptitle(title, fontsize=10)
    return figure


def draw_channels(models: Sequence[TapMaps], tap: str, count: int = 8, title: str = '') -> Figure:
    """Draw the channels of one tap that vary most: one row per model.

    Args:
        models (Sequence[TapMaps]): Of the same image.
        tap (str): Its name.
        count (int): Channels, >= 1. Defaults to 8.
        title (str): Of the figure. Defaults to ''.
    """
    check_count('channels', count, 1)
    height, width = models[0].picture.shape[:2]
    rows: list[tuple[str, Mapping[int, Tensor]]] = [(each.name, liveliest(each.maps[tap], count)) for each in models]
    columns = max(len(channels) for _, channels in rows)
    figure = Figure(figsize=(columns * 1.7 + 0.4, len(rows) * (1.7 * height / width + 0.4) + 0.4), layout='constrained')
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, channels) in zip(axes, rows, strict=True):
        for axis in line:
            axis.set_axis_off()
        for axis, (channel, values) in zip(line, channels.items(), strict=False):
            axis.imshow(values, cmap='viridis', extent=(0, width, height, 0))
            axis.set_title(f'{name}: channel {channel}' if axis is line[0] else f'channel {channel}', fontsize=8)
    figure.suptitle(f'{title}: the channels that vary most, each stretched by itself', fontsize=9)
    return figure
