"""Tiny models, data and processes for the tests. Imports of mmdet stand inside, ranks start without it."""

import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import ImgDataPreprocessor
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor, nn

CLASSES = ('a', 'b', 'c', 'd')
RANDOM_PARTS: dict[str, Any] = dict(jitter_prob=0.0, grayscale_prob=0.0)

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    'faster_rcnn': (
        'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
        dict(
            rpn_head=dict(in_channels=16, feat_channels=16),
            roi_head=dict(
                bbox_roi_extractor=dict(out_channels=16),
                bbox_head=dict(in_channels=16, fc_out_channels=32, num_classes=4),
            ),
            train_cfg=dict(rpn_proposal=dict(nms_pre=100, max_per_img=50), rcnn=dict(sampler=dict(num=32))),
            test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=50)),
        ),
    ),
    'retinanet': (
        'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
        dict(bbox_head=dict(in_channels=16, feat_channels=16, stacked_convs=1, num_classes=4)),
    ),
}


def toy_model(name: str = 'faster_rcnn', **backbone: Any) -> Config:
    """A stock config of mmdet with a ResNet-18 of 16 to 128 channels; BatchNorm learns."""
    from mmcds.config.load_config import load_config

    path, parts = MODELS[name]
    cfg = load_config(path)
    small = dict(
        depth=18,
        base_channels=16,
        frozen_stages=-1,
        norm_eval=False,
        norm_cfg=dict(type='BN', requires_grad=True),
        init_cfg=None,
        **backbone,
    )
    neck = dict(in_channels=[16, 32, 64, 128], out_channels=16)
    cfg.merge_from_dict(dict(model=dict(backbone=small, neck=neck, **parts)))
    return cfg


def toy_config(data: Path, work_dir: Path, name: str = 'faster_rcnn') -> Config:
    """A config that a Runner takes: two epochs of three batches of two images."""
    cfg = toy_model(name)
    dataset = dict(
        type='CocoDataset',
        data_root=str(data),
        metainfo=dict(classes=CLASSES),
        ann_file='train.json',
        data_prefix=dict(img='images/'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ],
    )
    # A Runner writes its config seven times, and formatting takes longer than an epoch of these.
    cfg = Config(dict(model=cfg.model, default_scope='mmdet'), format_python_code=False)
    cfg.merge_from_dict(
        dict(
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                persistent_workers=False,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=dataset,
            ),
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=2),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
            default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
            randomness=dict(seed=0),
            work_dir=str(work_dir),
            log_level='ERROR',
        )
    )
    return cfg


def make_toy_data(root: Path, images: int = 6, size: int = 64) -> Path:
    """Draw rectangles and write them in COCO's format."""
    import cv2

    generator = np.random.default_rng(0)
    (root / 'images').mkdir()
    content: dict[str, Any] = {'images': [], 'annotations': []}
    for i in range(images):
        image = generator.integers(0, 60, (size, size, 3), dtype=np.uint8)
        content['images'].append({'id': i, 'file_name': f'{i}.png', 'width': size, 'height': size})
        for _ in range(1 + i % 3):
            x, y, w, h = (int(v) for v in generator.integers((2, 2, 14, 14), (30, 30, 32, 32)))
            category = int(generator.integers(4))
            cv2.rectangle(
                image, (x, y), (x + w, y + h), [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255,) * 3][category], -1
            )
            annotation = {'bbox': [x, y, w, h], 'area': w * h, 'iscrowd': 0, 'category_id': category + 1}
            content['annotations'].append({'id': len(content['annotations']) + 1, 'image_id': i, **annotation})
        cv2.imwrite(str(root / 'images' / f'{i}.png'), image)
    content['categories'] = [{'id': i + 1, 'name': name} for i, name in enumerate(CLASSES)]
    (root / 'train.json').write_text(json.dumps(content))
    return root


def build(cfg: Config, like: nn.Module | None = None, seed: int = 0) -> Any:
    """Build and initialise the model of a config; with ``like``, take what it shares with that one."""
    from mmdet.registry import MODELS as DETECTORS

    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdet'):
        torch.manual_seed(seed)
        model = DETECTORS.build(deepcopy(cfg.model))
        if like is None:
            model.init_weights()
        else:
            missing, _ = model.load_state_dict(like.state_dict(), strict=False)
            assert not [name for name in missing if not name.startswith('neck.cds.')]
    return model.train()


def toy_batch(model: Any, images: int = 2, seed: int = 0) -> dict[str, Any]:
    """Random images of two sizes and boxes, after the model's preprocessor."""
    from mmdet.testing import demo_mm_inputs

    shapes = [[3, 64, 64], [3, 48, 64]] * images
    state = np.random.get_state()
    np.random.seed(seed)
    batch = demo_mm_inputs(images, shapes[:images], num_items=[1 + i % 3 for i in range(images)], num_classes=4)
    np.random.set_state(state)
    return model.data_preprocessor(batch, True)


def total(losses: dict[str, Any]) -> Tensor:
    """Sum of all losses, as mmengine makes it."""
    values = [each for key, each in losses.items() if 'loss' in key]
    return torch.stack([sum(x.sum() for x in each) if isinstance(each, list) else each.sum() for each in values]).sum()


def flat(losses: dict[str, Any]) -> dict[str, Tensor]:
    """Each entry as one tensor."""
    return {k: torch.stack([x.sum() for x in v]) if isinstance(v, list) else v.detach() for k, v in losses.items()}


def released_form(features: Tensor, labels: Tensor | None, temperature: float = 0.07) -> Tensor:
    """SupCon as a mask over all pairs of features (bsz, n_views, dim), the form of the released code."""
    count, views = features.shape[:2]
    mask = torch.eye(count) if labels is None else (labels[:, None] == labels[None]).float()
    contrast = torch.cat(torch.unbind(features, dim=1))
    logits = contrast @ contrast.T / temperature
    logits = logits - logits.max(dim=1, keepdim=True).values.detach()
    others = 1 - torch.eye(count * views)
    mask = mask.repeat(views, views) * others
    log_prob = logits - (torch.exp(logits) * others).sum(1, keepdim=True).log()
    mean_log_prob = (mask * log_prob).sum(1) / mask.sum(1)
    return -(temperature / 0.07) * mean_log_prob.view(views, count).mean()


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def hooks_of(model: nn.Module) -> int:
    """How many torch forward hooks a model and its parts carry."""
    return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in model.modules())


def instances(boxes: list[list[float]], labels: list[int], scores: list[float] | None = None) -> InstanceData:
    """Objects, or with scores detections."""
    data = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), labels=torch.tensor(labels, dtype=torch.long)
    )
    if scores is not None:
        data.scores = torch.tensor(scores)
    return data


class ToyBackbone(nn.Module):
    """Two strided convolutions, whose outputs are the stages; counts its calls and images."""

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b) if norm else nn.Identity(), nn.Tanh())
            for a, b in ((3, 4), (4, 6))
        )
        self.calls: list[int] = []

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        self.calls.append(len(x))
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return tuple(outputs)


class ToyDetector(nn.Module):
    """What CDS asks of a model and no more: backbone, neck, forward(inputs, data_samples, mode).

    Args:
        norm (bool): Whether the backbone has BatchNorm.
        before, after: What else the backbone is called on in each forward, made from the inputs.
        **cds: Arguments of the CDSNeck.
    """

    def __init__(
        self,
        norm: bool = False,
        before: Callable[[Tensor], Tensor] | None = None,
        after: Callable[[Tensor], Tensor] | None = None,
        **cds: Any,
    ) -> None:
        from mmcds.models import build_cds_neck

        super().__init__()
        self.before, self.after = before, after
        self.data_preprocessor = ImgDataPreprocessor()
        self.backbone = ToyBackbone(norm)
        options: dict[str, Any] = dict(view=dict(type='PhotometricView', **RANDOM_PARTS), loss_weight=0.5)
        options['projector'] = dict(type='MLPProjector', out_channels=5)
        options['channels'] = dict(backbone=[4, 6])
        # The mean over the few anchors of a test, where the default divides by at least 64.
        if 'type' not in cds.get('loss', {}):
            cds['loss'] = {'min_anchors': 1, **cds.get('loss', {})}
        self.neck = build_cds_neck(**{**options, **cds})
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        if self.before is not None:
            self.backbone(self.before(inputs))
        features = self.neck(self.backbone(inputs))
        if self.after is not None:
            self.backbone(self.after(inputs))
        output = self.head(features[-1])
        return {'loss_task': output.square().mean()} if mode == 'loss' else output


def toy_sample(
    boxes: Sequence[Sequence[float]], labels: Sequence[int], size: tuple[int, int] = (32, 32)
) -> BaseDataElement:
    """A data sample as a detector gets it."""
    found = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), labels=torch.tensor(labels, dtype=torch.long)
    )
    return BaseDataElement(metainfo=dict(img_shape=size), gt_instances=found)


def toy_inputs(counts: Sequence[int], seed: int = 0, size: int = 32) -> tuple[Tensor, list[BaseDataElement]]:
    """As many float64 images as counts, each with so many boxes."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(len(counts), 3, size, size, generator=generator, dtype=torch.float64) * 255
    samples = []
    for count in counts:
        corner = torch.rand(count, 2, generator=generator) * size / 2
        boxes = torch.cat([corner, corner + 4 + torch.rand(count, 2, generator=generator) * size / 3], 1)
        labels = torch.randint(3, (count,), generator=generator)
        samples.append(toy_sample(boxes.tolist(), labels.tolist(), (size, size)))
    return images, samples


def _rank(rank: int, world: int, function: Callable[..., Any], folder: str, args: tuple) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', f'file://{folder}/store', rank=rank, world_size=world)
    torch.save(function(rank, world, *args), f'{folder}/rank{rank}.pt')
    torch.distributed.barrier()
    # The group is left to the end of the process: in torch 2.1 its destructor holds the GIL and waits for a
    # thread of gloo, which wants the GIL to free the tensors of the last collective.


def run_ranks(world: int, function: Callable[..., Any], folder: Path, *args: Any, limit: float = 300) -> list[Any]:
    """Run ``function(rank, world, *args)`` in so many gloo processes; what each returned, in order.

    A hang is an error: the processes are ended after ``limit`` seconds.
    """
    import torch.multiprocessing as mp

    folder.mkdir(parents=True, exist_ok=True)
    # From a server that has imported these, so that each rank need not.
    multiprocessing.set_forkserver_preload(['mmcds.apis', 'mmcds.models'])
    arguments = (world, function, str(folder), args)
    context: Any = mp.start_processes(_rank, arguments, nprocs=world, join=False, start_method='forkserver')
    end = time.monotonic() + limit
    while not context.join(timeout=1):
        if time.monotonic() > end:
            for process in context.processes:
                process.kill()
            raise TimeoutError(f'{world} ranks did not finish in {limit} s')
    return [torch.load(folder / f'rank{rank}.pt', weights_only=False) for rank in range(world)]
