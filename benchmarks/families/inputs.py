"""Toy batches of the form that a model's data preprocessor takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, LabelData, PixelData
from torch import Tensor

from mmcds.utils.type_name import bare_name

#: Sides of the images, (height, width), in pixels: two sizes, so that one is padded.
SIZES = ((128, 128), (96, 128))
#: Parts, anywhere in a model, that need other images, with the reason.
OTHER_SIZES = {
    'SSDVGG': ((300, 300), (300, 300)),  # its last stages have no padding and end at one cell
    'HourglassNet': ((255, 255), (255, 255)),  # halves its input seven times, and so does the second view
    'DCN': ((192, 192), (160, 192)),  # a map of its own must not be smaller than its kernel, 3 cells
    'DDODHead': ((384, 384), (384, 384)),  # the same, at a stride of 128
    'SAC': ((192, 192), (160, 192)),  # pads each map by 2 cells that the map must have
    'LRASPPHead': ((416, 416), (400, 416)),  # pools windows of 49 cells at a stride of 8
    'YOLACTHead': ((138, 138), (138, 138)),  # stacks losses of the images, which must have one size
    'CLRHead': ((320, 800), (320, 800)),  # its priors and its decoder are made for this size
}
#: Boxes of an image, (x1, y1, x2, y2) as parts of its sides.
BOXES = ((0.05, 0.1, 0.45, 0.5), (0.5, 0.3, 0.95, 0.9), (0.3, 0.55, 0.6, 0.95), (0.6, 0.02, 0.9, 0.28))


def toy_inputs(cfg: Mapping[str, Any]) -> dict:
    """A batch for one training step of a model, as its data loader would give it.

    Detectors get two images with boxes, masks, a semantic map and proposals, of which each takes
    what it needs; detectors of mmyolo what its collate function makes of them; segmentors two images with a map of
    classes and one of edges; trackers two videos of a key and a reference frame; re-identification one group of
    crops; semi-supervised detectors a labelled and two unlabelled batches; lane detectors two images with lines.

    Args:
        cfg (Mapping): A config. Its ``model`` is read and, if it has one, its ``train_dataloader``.

    Returns:
        dict: 'inputs' and 'data_samples', for the model's data preprocessor.
    """
    model = cfg['model']
    preprocessor = model.get('data_preprocessor') or {}
    kind = bare_name(preprocessor)
    rng = np.random.RandomState(0)
    if kind == 'ReIDDataPreprocessor':
        return _reid_inputs(rng)
    if kind == 'SegDataPreProcessor':
        return _segmentation_inputs(rng, model)
    annotated = _Annotated.of(cfg)
    if kind == 'TrackDataPreprocessor' and not preprocessor.get('use_det_processor'):
        return _video_inputs(rng, annotated)
    if kind == 'LineDetDataProcessor':
        return _line_inputs(rng, annotated.sizes)
    if kind == 'MultiBranchDataPreprocessor':
        batches = {name: _image_inputs(rng, annotated) for name in ('sup', 'unsup_teacher', 'unsup_student')}
        return {
            'inputs': {name: batch['inputs'] for name, batch in batches.items()},
            'data_samples': {name: batch['data_samples'] for name, batch in batches.items()},
        }
    collate = (cfg.get('train_dataloader') or {}).get('collate_fn') or {}
    if bare_name(collate) == 'yolov5_collate':
        return _yolo_inputs(rng, annotated, collate.get('use_ms_training', False), model)
    return _image_inputs(rng, annotated)


@dataclass(frozen=True)
class _Annotated:
    """How the images of a batch are annotated.

    Attributes:
        sizes (tuple[tuple[int, int], ...]): (height, width) of each image.
        classes (int): Classes of the boxes.
        semantic (int): Classes of the semantic map.
        masks (bool): Whether the boxes have masks.
        boxes (str): The type of the boxes, in mmdet's words: 'hbox', 'rbox' or 'qbox'.
    """

    sizes: tuple[tuple[int, int], ...]
    classes: int
    semantic: int
    masks: bool
    boxes: str

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> '_Annotated':
        """What the model of a config needs."""
        model = cfg['model']
        masks = any(_find(model.get('data_preprocessor'), 'pad_mask')) or any(_find(model, 'mask_head'))
        classes = _smallest(model, 'num_classes', 2)
        return cls(sizes_of(model), classes, _semantic_classes(model), masks, _box_type(cfg))


def _box_type(cfg: Mapping[str, Any]) -> str:
    """Type of the boxes in the batches: that of the last conversion in the training pipeline."""
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    types = ['hbox', *_find(dataset, 'box_type')]
    converted = [each['gt_bboxes'] for each in _find(dataset, 'box_type_mapping') if 'gt_bboxes' in each]
    return str([*types, *converted][-1])


def sizes_of(model: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """(height, width) of each toy image of a model."""
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


def _image_inputs(rng: np.random.RandomState, annotated: _Annotated) -> dict:
    samples = [_data_sample(i, size, annotated) for i, size in enumerate(annotated.sizes)]
    return {'inputs': [_image(rng, size) for size in annotated.sizes], 'data_samples': samples}


def _image(rng: np.random.RandomState, size: tuple[int, int], count: int | None = None) -> Tensor:
    """Random pixels (3, height, width), or (count, 3, height, width), uint8."""
    shape = (3, *size) if count is None else (count, 3, *size)
    return torch.from_numpy(rng.randint(0, 255, shape, dtype=np.uint8))


def _data_sample(index: int, size: tuple[int, int], annotated: _Annotated) -> Any:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    height, width = size
    # The second image has fewer objects than the first.
    boxes = torch.tensor(BOXES[: len(BOXES) - index]) * torch.tensor([width, height, width, height])
    labels = torch.arange(len(boxes)) // 2 % annotated.classes
    masks, segments = _maps(boxes, labels, size, annotated.semantic)
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
    ids = torch.arange(len(boxes)) + 1
    sample.gt_instances = InstanceData(bboxes=_as_type(boxes, annotated.boxes), labels=labels, instances_ids=ids)
    if annotated.masks:
        sample.gt_instances.masks = BitmapMasks(masks, height, width)
    sample.ignored_instances = InstanceData(bboxes=_as_type(boxes[:0], annotated.boxes), labels=labels[:0])
    sample.gt_sem_seg = PixelData(sem_seg=segments)
    around = torch.cat([boxes + shift for shift in (-6.0, 0.0, 6.0)]).clamp(min=0)
    around = torch.minimum(around, torch.tensor([width, height, width, height]))
    sample.proposals = InstanceData(bboxes=around, scores=torch.linspace(1, 0.5, len(around)))
    return sample


def _maps(boxes: Tensor, labels: Tensor, size: tuple[int, int], classes: int) -> tuple[np.ndarray, Tensor]:
    """Masks of upright boxes (n, height, width), uint8, and the map of their classes (1, height, width), int64."""
    masks = np.zeros((len(boxes), *size), dtype=np.uint8)
    # Around the boxes is the last class.
    segments = torch.full((1, *size), classes - 1, dtype=torch.long)
    for mask, box, label in zip(masks, boxes.round().long().tolist(), labels.tolist(), strict=True):
        mask[box[1] : box[3], box[0] : box[2]] = 1
        segments[0, box[1] : box[3], box[0] : box[2]] = label
    return masks, segments


def _as_type(boxes: Tensor, kind: str) -> Any:
    """Upright boxes (n, 4), as a tensor for 'hbox'; else turned about their centres, as mmrotate's type of boxes."""
    if kind == 'hbox':
        return boxes
    from mmrotate.structures.bbox import RotatedBoxes

    sides = boxes[:, 2:] - boxes[:, :2]
    # Angles of a training set, in the range of all of mmrotate's definitions.
    angles = torch.linspace(0.1, 1.2, max(len(boxes), 1))[: len(boxes), None]
    rotated = RotatedBoxes(torch.cat([boxes[:, :2] + sides / 2, sides * 0.8, angles], 1))
    return rotated if kind == 'rbox' else rotated.convert_to(kind)


def _yolo_inputs(rng: np.random.RandomState, annotated: _Annotated, as_list: bool, model: Mapping[str, Any]) -> dict:
    """What mmyolo's own collate function makes of two images of one size."""
    from mmdet.structures.bbox import HorizontalBoxes
    from mmyolo.datasets.utils import yolov5_collate

    size = annotated.sizes[0]
    points = max(_find(model, 'num_keypoints'), default=0)
    overlapping = _find(model, 'mask_overlap')
    batch = []
    for index in range(len(annotated.sizes)):
        sample = _data_sample(index, size, annotated)
        objects = sample.gt_instances
        boxes, labels = objects.bboxes, objects.labels
        if isinstance(boxes, Tensor):
            masks, _ = _maps(boxes, labels, size, annotated.semantic)
            if any(overlapping):
                # One map of the numbers of the objects, from 1.
                numbered = (masks * np.arange(1, len(masks) + 1, dtype=np.uint8)[:, None, None]).max(0)
                sample.gt_panoptic_seg = PixelData(pan_seg=torch.from_numpy(numbered)[None].float())
            elif overlapping:
                objects.masks = torch.from_numpy(masks).float()
            if points:
                across = torch.linspace(0.2, 0.8, points)[None, :, None]
                objects.keypoints = boxes[:, None, :2] * (1 - across) + boxes[:, None, 2:] * across
                objects.keypoints_visible = torch.ones(len(boxes), points)
            objects.bboxes = HorizontalBoxes(boxes)
        batch.append({'inputs': _image(rng, size), 'data_samples': sample})
    collated: dict = yolov5_collate(batch, use_ms_training=as_list)
    return collated


def _segmentation_inputs(rng: np.random.RandomState, model: Mapping[str, Any]) -> dict:
    """Two images with a map of classes, and one of the edges between them."""
    from mmseg.structures import SegDataSample

    classes = _smallest(model, 'num_classes', 2)
    channels = max(len(model['data_preprocessor'].get('mean') or ()), 3)
    samples, images = [], []
    for index, (height, width) in enumerate(sizes_of(model)):
        boxes = torch.tensor(BOXES[: len(BOXES) - index]) * torch.tensor([width, height, width, height])
        _, segments = _maps(boxes, torch.arange(len(boxes)) % classes, (height, width), classes)
        edges = torch.zeros_like(segments)
        edges[:, :, 1:] = segments[:, :, 1:] != segments[:, :, :-1]
        edges[:, 1:] |= segments[:, 1:] != segments[:, :-1]
        shape = dict(img_shape=(height, width), ori_shape=(height, width))
        sample = SegDataSample(metainfo=shape)
        sample.gt_sem_seg = PixelData(data=segments)
        sample.set_data(dict(gt_edge_map=PixelData(data=edges)))
        samples.append(sample)
        images.append(torch.from_numpy(rng.randint(0, 255, (channels, height, width), dtype=np.uint8)))
    return {'inputs': images, 'data_samples': samples}


def _video_inputs(rng: np.random.RandomState, annotated: _Annotated) -> dict:
    from mmdet.structures import TrackDataSample

    videos, samples = [], []
    size = SIZES[0]
    for index in range(2):
        frames = [_data_sample(index, size, annotated) for _ in range(2)]
        for number, frame in enumerate(frames):
            frame.set_metainfo(dict(frame_id=number))
        sample = TrackDataSample()
        sample.video_data_samples = frames
        sample.set_metainfo(dict(key_frames_inds=[0], ref_frames_inds=[1]))
        samples.append(sample)
        videos.append(_image(rng, size, 2))
    return {'inputs': videos, 'data_samples': samples}


def _reid_inputs(rng: np.random.RandomState) -> dict:
    """Two crops each of two persons, in one group: (4, 3, 256, 128)."""
    from mmdet.structures import ReIDDataSample

    sample = ReIDDataSample()
    sample.gt_label = LabelData(label=torch.tensor([0, 0, 1, 1]))
    sample.set_metainfo(dict(img_shape=(256, 128), ori_shape=(256, 128)))
    return {
        'inputs': [_image(rng, (256, 128), 4)],
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
    return {'inputs': [_image(rng, size) for size in sizes], 'data_samples': samples}
