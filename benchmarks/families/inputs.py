"""Toy batches of the form that a model's data preprocessor takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, LabelData, PixelData

#: Sides of the images, (height, width), in pixels: two sizes, so that one is padded.
SIZES = ((128, 128), (96, 128))
#: Parts, anywhere in a model, that need other images, with the reason.
OTHER_SIZES = {
    'SSDVGG': ((300, 300), (300, 300)),  # its last stages have no padding and end at one cell
    'HourglassNet': ((255, 255), (255, 255)),  # halves its input seven times, and so does the second view
    'DCN': ((192, 192), (160, 192)),  # a map of its own must not be smaller than its kernel, 3 cells
    'DDODHead': ((384, 384), (384, 384)),  # the same, at a stride of 128
    'SAC': ((192, 192), (160, 192)),  # pads each map by 2 cells that the map must have
    'YOLACTHead': ((138, 138), (138, 138)),  # stacks losses of the images, which must have one size
    'CLRHead': ((320, 800), (320, 800)),  # its priors and its decoder are made for this size
}
#: Boxes of an image, (x1, y1, x2, y2) as parts of its sides.
BOXES = ((0.05, 0.1, 0.45, 0.5), (0.5, 0.3, 0.95, 0.9), (0.3, 0.55, 0.6, 0.95), (0.6, 0.02, 0.9, 0.28))


def toy_inputs(model: Mapping[str, Any]) -> dict:
    """A batch for one training step of a model, as a data loader would give it.

    Detectors get two images with boxes, masks, a semantic map and proposals, of which each takes
    what it needs; trackers two videos of a key and a reference frame; re-identification one group of
    crops; semi-supervised detectors a labelled and two unlabelled batches; lane detectors two images with lines.

    Args:
        model (Mapping): Config of the model.

    Returns:
        dict: 'inputs' and 'data_samples', for the model's data preprocessor.
    """
    preprocessor = model.get('data_preprocessor') or {}
    kind = preprocessor.get('type')
    rng = np.random.RandomState(0)
    sizes = _sizes(model)
    classes = _smallest(model, 'num_classes', 2)
    masks = any(_find(preprocessor, 'pad_mask')) or any(_find(model, 'mask_head'))
    semantic = _semantic_classes(model)
    if kind == 'ReIDDataPreprocessor':
        return _reid_inputs(rng)
    if kind == 'TrackDataPreprocessor' and not preprocessor.get('use_det_processor'):
        return _video_inputs(rng, classes, masks)
    if kind == 'LineDetDataProcessor':
        return _line_inputs(rng, sizes)
    if kind == 'MultiBranchDataPreprocessor':
        batches = {
            name: _image_inputs(rng, sizes, classes, semantic, masks)
            for name in ('sup', 'unsup_teacher', 'unsup_student')
        }
        return {
            'inputs': {name: batch['inputs'] for name, batch in batches.items()},
            'data_samples': {name: batch['data_samples'] for name, batch in batches.items()},
        }
    return _image_inputs(rng, sizes, classes, semantic, masks)


def _sizes(model: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    found = [OTHER_SIZES[kind] for kind in _find(model, 'type') if kind in OTHER_SIZES]
    return max(found, default=SIZES)


def _find(value: Any, key: str) -> list[Any]:
    """All values of ``key`` in nested dicts and sequences."""
    found = []
    if isinstance(value, Mapping):
        found += [value[key]] if key in value else []
        for each in value.values():
            found += _find(each, key)
    elif isinstance(value, (list, tuple)):
        for each in value:
            found += _find(each, key)
    return found


def _smallest(model: Mapping[str, Any], key: str, default: int) -> int:
    numbers = [each for each in _find(model, key) if isinstance(each, int)]
    return min(numbers, default=default)


def _semantic_classes(model: Mapping[str, Any]) -> int:
    """Classes of a semantic map: things first, then stuff; where a head has one output per class, its."""
    return sum(max(_find(model, key), default=0) for key in ('num_things_classes', 'num_stuff_classes')) or _smallest(
        model, 'num_classes', 2
    )


def _image_inputs(
    rng: np.random.RandomState, sizes: tuple[tuple[int, int], ...], classes: int, semantic: int, masks: bool
) -> dict:
    samples = [_data_sample(i, size, classes, semantic, masks) for i, size in enumerate(sizes)]
    images = [torch.from_numpy(rng.randint(0, 255, (3, *size), dtype=np.uint8)) for size in sizes]
    return {'inputs': images, 'data_samples': samples}


def _data_sample(index: int, size: tuple[int, int], classes: int, semantic: int, with_masks: bool) -> Any:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    height, width = size
    # The second image has fewer objects than the first.
    boxes = torch.tensor(BOXES[: len(BOXES) - index]) * torch.tensor([width, height, width, height])
    labels = torch.arange(len(boxes)) // 2 % classes
    masks = np.zeros((len(boxes), height, width), dtype=np.uint8)
    segments = torch.full((1, height, width), semantic - 1, dtype=torch.long)
    for mask, box, label in zip(masks, boxes.round().long().tolist(), labels.tolist(), strict=True):
        mask[box[1] : box[3], box[0] : box[2]] = 1
        segments[0, box[1] : box[3], box[0] : box[2]] = label
    sample = DetDataSample(
        metainfo=dict(
            img_id=index,
            img_path='toy.png',
            ori_shape=size,
            img_shape=size,
            scale_factor=(1.0, 1.0),
            flip=False,
            flip_direction=None,
            homography_matrix=np.eye(3, dtype=np.float32),
            border=(0, height, 0, width),
            # How the image differs from the unlabelled one, and which.
            sample_idx=index,
        )
    )
    sample.gt_instances = InstanceData(bboxes=boxes, labels=labels, instances_ids=torch.arange(len(boxes)) + 1)
    if with_masks:
        sample.gt_instances.masks = BitmapMasks(masks, height, width)
    sample.ignored_instances = InstanceData(bboxes=boxes[:0], labels=labels[:0])
    sample.gt_sem_seg = PixelData(sem_seg=segments)
    around = torch.cat([boxes + shift for shift in (-6.0, 0.0, 6.0)]).clamp(min=0)
    around = torch.minimum(around, torch.tensor([width, height, width, height]))
    sample.proposals = InstanceData(bboxes=around, scores=torch.linspace(1, 0.5, len(around)))
    return sample


def _video_inputs(rng: np.random.RandomState, classes: int, masks: bool) -> dict:
    from mmdet.structures import TrackDataSample

    videos, samples = [], []
    size = SIZES[0]
    for index in range(2):
        frames = [_data_sample(index, size, classes, classes, masks) for _ in range(2)]
        for number, frame in enumerate(frames):
            frame.set_metainfo(dict(frame_id=number))
        sample = TrackDataSample()
        sample.video_data_samples = frames
        sample.set_metainfo(dict(key_frames_inds=[0], ref_frames_inds=[1]))
        samples.append(sample)
        videos.append(torch.from_numpy(rng.randint(0, 255, (2, 3, *size), dtype=np.uint8)))
    return {'inputs': videos, 'data_samples': samples}


def _reid_inputs(rng: np.random.RandomState) -> dict:
    """Two crops each of two persons, in one group: (4, 3, 256, 128)."""
    from mmdet.structures import ReIDDataSample

    sample = ReIDDataSample()
    sample.gt_label = LabelData(label=torch.tensor([0, 0, 1, 1]))
    sample.set_metainfo(dict(img_shape=(256, 128), ori_shape=(256, 128)))
    return {
        'inputs': [torch.from_numpy(rng.randint(0, 255, (4, 3, 256, 128), dtype=np.uint8))],
        'data_samples': [sample],
    }


def _line_inputs(rng: np.random.RandomState, sizes: tuple[tuple[int, int], ...]) -> dict:
    """Images with two lanes each, from the lower edge to the middle, and the map of their pixels."""
    from mmdet.datasets.transforms import LinesToArray
    from mmdet.structures import DetDataSample

    samples = []
    for height, width in sizes:
        lines = [[(width * x, height - 1), (width * 0.5, height * 0.5)] for x in (0.25, 0.7)]
        arrays = LinesToArray(img_height=height, img_width=width).transform({'lines': lines})
        sample = DetDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width)))
        sample.lines_array = arrays['lines_array']
        segments = torch.zeros(1, height, width, dtype=torch.long)
        segments[0, height // 2 :, width // 4 : width // 2] = 1
        sample.gt_sem_seg = PixelData(sem_seg=segments)
        samples.append(sample)
    images = [torch.from_numpy(rng.randint(0, 255, (3, *size), dtype=np.uint8)) for size in sizes]
    return {'inputs': images, 'data_samples': samples}
