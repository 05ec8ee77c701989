"""Backbones that mmpretrain lacks.

Each is imported when it is first built: mmpretrain takes two seconds to import, which a detector need not wait for.
"""

from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from mmcds.registry import MODELS

#: The module and class of each, by the name in a config.
BACKBONES = {
    'ResNeXt_CIFAR': ('resnext_cifar', 'ResNeXtCIFAR'),
    'SEResNet': ('seresnet', 'SEResNet'),
    'SEResNet_CIFAR': ('seresnet', 'SEResNetCIFAR'),
    'PreActResNet_CIFAR': ('preact_resnet', 'PreActResNetCIFAR'),
}

__all__ = ['BACKBONES']


def _build(module: str, cls: str, **kwargs: Any) -> nn.Module:
    return getattr(import_module(f'{__name__}.{module}'), cls)(**kwargs)


for name, place in BACKBONES.items():
    MODELS.register_module(name=name, module=partial(_build, *place))
