"""A second view from the data loader."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmcds.registry import MODELS
from mmcds.utils.type_name import bare_kind

from ..data_samples import read_targets
from ..parts import View
from ..step_data import ViewPair


@MODELS.register_module()
class DataloaderView(View):
    """Reads the second view from the data samples, where the transform ``mmcds.TwoViews`` put it.

    Use it for geometric augmentation (crop, flip, affine), with boxes that follow. Batch augmentations that resize or
    pad view 1 are supported; others would change view 1 only and are refused.
    """

    @torch.no_grad()
    def forward(self, inputs: Tensor, data_samples: Any, preprocessor: nn.Module) -> tuple[Tensor, ViewPair]:
        """Normalise and pad the second view, and describe both views.

        Args:
            inputs (Tensor): The first view as the model gets it (N, 3, H, W), normalised and padded.
            data_samples (Sequence): The N data samples, each with ``view2``.
            preprocessor (nn.Module): The model's data preprocessor, which also processes the second view.

        Returns:
            tuple[Tensor, ViewPair]: The second view (N, 3, H', W'), and geometry and annotations of both
            views.

        Raises:
            ValueError: If a data sample has no second view, or the preprocessor changes view 1 in another way.
        """
        if not isinstance(data_samples, Sequence):
            raise ValueError(
                f'the batch comes as a {type(data_samples).__name__}, without the second views that TwoViews puts into '
                "data samples; set neck.view=dict(type='PhotometricView', scale=0.5)"
            )
        seconds: list[Any] = [getattr(sample, 'view2', None) for sample in data_samples]
        if any(second is None for second in seconds):
            raise ValueError(
                f'{sum(second is None for second in seconds)} of {len(seconds)} data samples have no second view; '
                "end train_dataloader's pipeline with dict(type='mmcds.TwoViews', ...) or set "
                "neck.view=dict(type='PhotometricView')"
            )
        check_batch_augments(getattr(preprocessor, 'batch_augments', None))
        second = _preprocessed(preprocessor, seconds)
        targets1, targets2 = read_targets(inputs, data_samples), read_targets(second, seconds)
        matched = [view.matched.to(inputs.device) for view in seconds]
        views = ViewPair(
            input_sizes=((inputs.shape[2], inputs.shape[3]), (second.shape[2], second.shape[3])),
            image_sizes=(targets1.image_sizes, targets2.image_sizes),
            image_labels=targets1.image_labels,
            boxes=([boxes[rows] for boxes, rows in zip(targets1.boxes, matched, strict=True)], targets2.boxes),
            labels=[labels[rows] for labels, rows in zip(targets1.labels, matched, strict=True)],
            transforms=self._transforms(data_samples, seconds, inputs),
            occupied=targets1.occupied,
            images=(inputs, second),
            pixels=targets1.pixels,
            unrecorded=next((view.metainfo['unrecorded'] for view in seconds if 'unrecorded' in view.metainfo), ''),
        )
        return second, views

    @staticmethod
    def _transforms(data_samples: Sequence[Any], seconds: Sequence[Any], inputs: Tensor) -> Tensor | None:
        maps = []
        for sample, view in zip(data_samples, seconds, strict=True):
            between = view.metainfo.get('between')
            if between is None:
                return None
            between = torch.as_tensor(between, dtype=torch.float64)
            shape = view.metainfo.get('first_shape')
            if shape is not None and 'img_shape' in sample.metainfo:
                # A batch augmentation may have resized view 1 since.
                (h, w), (now_h, now_w) = shape[:2], sample.metainfo['img_shape'][:2]
                between = between @ torch.diag(between.new_tensor([w / now_w, h / now_h, 1]))
            maps.append(between)
        return torch.stack(maps).to(inputs.device, torch.float32)


def _preprocessed(preprocessor: nn.Module, seconds: Sequence[Any]) -> Tensor:
    """The second views (N, 3, H', W'), normalised and padded."""
    images = [view.inputs for view in seconds]
    if any(each.__name__ == 'SegDataPreProcessor' for each in type(preprocessor).__mro__):
        # mmsegmentation's pads in training only, together with the labels, and up to the size of view 1.
        samples = [view.clone() for view in seconds]
        padded = preprocessor({'inputs': images, 'data_samples': samples}, training=True)['inputs']
        if getattr(preprocessor, 'size', None) is None:
            return padded
        height, width = (max(image.shape[side] for image in images) for side in (-2, -1))
        return padded[..., :height, :width]
    # In training mode mmdet's would resize this batch to another random size.
    return preprocessor({'inputs': images, 'data_samples': None})['inputs']


#: Batch augmentations that DataloaderView follows: they pad view 1, or resize it together with its boxes and img_shape.
FOLLOWED = ('BatchFixedSizePad', 'BatchResize', 'BatchSyncRandomResize')


def check_batch_augments(augments: Any, field: str = 'model.data_preprocessor.batch_augments') -> None:
    """Raise on batch augmentations that change view 1 of a batch but not the data loader's view 2.

    Args:
        augments (list | dict | RandomBatchAugment | None): As for :func:`mixing_augments`.
        field (str): Their field in the config, for the message.

    Raises:
        ValueError: If one is not among :data:`FOLLOWED`, as Mixup and CutMix are not.
    """
    for name in mixing_augments(augments):
        raise ValueError(
            f'{field}: {name} changes view 1 of a batch but not view 2, which comes from the data loader; remove '
            "it, or set neck.view=dict(type='PhotometricView'), which makes view 2 of the changed view 1 "
            f'(view 2 follows: {", ".join(FOLLOWED)})'
        )


def mixing_augments(augments: Any) -> list[str]:
    """Names of the batch augmentations that mix the images of a batch, as Mixup, CutMix and ResizeMix do.

    Those that are not known count, too: all but :data:`FOLLOWED`.

    Args:
        augments (list | dict | RandomBatchAugment | None): The configs, or the built augmentations of a preprocessor;
            mmpretrain has them in a dict or a RandomBatchAugment.
    """
    if not augments:
        return []
    parts = augments.get('augments', []) if isinstance(augments, Mapping) else getattr(augments, 'augments', augments)
    parts = parts if isinstance(parts, Iterable) and not isinstance(parts, Mapping) else [parts]
    kinds = [each.get('type') if isinstance(each, Mapping) else type(each) for each in parts if each is not None]
    return [name for name in map(bare_kind, kinds) if name not in FOLLOWED]


def batch_augments_of(cfg: Mapping[str, Any]) -> list[tuple[Any, str]]:
    """The batch augmentations of a config, those that hooks switch to included, each with its field.

    Args:
        cfg (Mapping): A whole config.
    """
    model = cfg['model']
    # The runner and mmpretrain's classifiers add the missing settings of the preprocessor.
    preprocessor = model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    # That of all branches of a semi-supervised detector wraps that of one.
    preprocessor = preprocessor.get('data_preprocessor') or preprocessor
    found = [(preprocessor.get('batch_augments'), 'model.data_preprocessor.batch_augments')]
    if found[0][0] is None and (model.get('train_cfg') or {}).get('augments') is not None:
        found = [(model['train_cfg'], 'model.train_cfg')]
    for hook in cfg.get('custom_hooks') or []:
        recipes = hook.get('schedule') if isinstance(hook, Mapping) else None
        for recipe in recipes if isinstance(recipes, Sequence) else ():
            if isinstance(recipe, Mapping) and recipe.get('batch_augments'):
                found.append((recipe['batch_augments'], f'custom_hooks: {bare_kind(hook.get("type"))}.batch_augments'))
    return found
