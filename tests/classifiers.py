"""A tiny classifier of mmpretrain and its batches, for the tests of the classification side."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor

NUM_CLASSES = 3
#: Widths of the four stages.
WIDTHS = [4, 8, 16, 32]


def classifier_config(width: int = 4, **backbone: Any) -> Config:
    """A stock ResNet-18 for images of 32x32 px with so many channels in its first stage, three classes."""
    small = dict(type='ResNet_CIFAR', depth=18, base_channels=width, stem_channels=width, out_indices=(0, 1, 2, 3))
    # Else what is inside a residual branch has no gradient in the first step.
    small['zero_init_residual'] = False
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(
                type='ImageClassifier',
                data_preprocessor=dict(mean=[120.0] * 3, std=[60.0] * 3, to_rgb=True, num_classes=NUM_CLASSES),
                backbone={**small, **backbone},
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=NUM_CLASSES, in_channels=8 * width),
            ),
        )
    )


def build_classifier(cfg: Config, seed: int = 0, like: Any = None) -> Any:
    """Build and initialise it in training mode; with ``like``, take what it shares with that one."""
    from mmpretrain.registry import MODELS

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        torch.manual_seed(seed)
        model = MODELS.build(deepcopy(cfg.model))
        model.init_weights()
    if like is not None:
        missing, _ = model.load_state_dict(like.state_dict(), strict=False)
        assert not [name for name in missing if not name.startswith('neck.cds.')]
    return model.train()


def images(count: int, seed: int = 1, side: int = 32) -> list[Tensor]:
    """Random images (3, side, side), uint8."""
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randint(256, (count, 3, side, side), generator=generator, dtype=torch.uint8))


def classifier_batch(model: Any, labels: Sequence[int | None], seed: int = 1, side: int = 32) -> dict[str, Any]:
    """Random images with these labels, None for an unlabelled one, after the model's data preprocessor."""
    from mmpretrain.structures import DataSample

    from mmcds.models.data_samples.sample_list import without_labels

    samples = [DataSample().set_gt_label(0 if label is None else label) for label in labels]
    for sample, label in zip(samples, labels, strict=True):
        if label is None:
            without_labels(sample)
    return model.data_preprocessor(dict(inputs=images(len(labels), seed, side), data_samples=samples), True)


def norms_in_eval(model: Any) -> None:
    """Batch normalisation by its running statistics, so that no image of a batch depends on the others."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
