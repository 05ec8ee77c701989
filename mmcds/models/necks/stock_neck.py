"""The stock neck with a supervision hung on it, and how to find that again."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from ..supervision import Supervision
from ..taps import output_channels, resolve_taps
from .chain import NeckChain, PassThroughNeck

#: Under this name the supervision hangs on the neck: ``model.neck.cds``.
ATTRIBUTE = 'cds'


def with_supervision(neck: dict | Sequence[dict] | None, supervision: Supervision) -> nn.Module:
    """Build a stock neck and hang a supervision on it.

    Args:
        neck (dict | Sequence[dict], optional): The stock neck's config; None is a neck that passes on what it gets.
        supervision (Supervision): What is to hang on it.

    Returns:
        nn.Module: The neck, an object of its own class.
    """
    if neck is None:
        stock: nn.Module = PassThroughNeck()
    elif isinstance(neck, Mapping):
        stock = ROOT_MODELS.build(neck)
    else:
        stock = NeckChain([ROOT_MODELS.build(each) for each in neck])
    stock.add_module(ATTRIBUTE, supervision)
    return stock


def supervision_alone(builder: Callable[..., nn.Module], neck: Mapping[str, Any]) -> Supervision:
    """What a config hangs on its stock neck, without building that one.

    Args:
        builder (Callable): What ``type`` of the config stands for.
        neck (Mapping[str, Any]): Config of a CDSNeck or the like.

    Raises:
        ValueError: If a tap, a part or one of their arguments is not known or out of range.
    """
    parts = {key: value for key, value in neck.items() if key not in ('type', '_scope_', 'neck')}
    channels = parts.pop('channels', None) or output_channels(neck.get('neck'))
    parts['taps'] = [tap.name for tap in resolve_taps(parts.get('taps'), neck.get('neck'), channels)]
    supervision: Supervision = getattr(builder(neck=None, channels=channels, **parts), ATTRIBUTE)
    return supervision


def find_supervision(model: nn.Module) -> Supervision:
    """The supervision of a model.

    Args:
        model (nn.Module): A detector or classifier, without a wrapper such as DDP.

    Raises:
        ValueError: If its neck is no CDSNeck.
    """
    supervision = getattr(getattr(model, 'neck', None), ATTRIBUTE, None)
    if not isinstance(supervision, Supervision):
        neck = type(getattr(model, 'neck', None)).__name__
        raise ValueError(
            f"model.neck is {neck}, not a CDSNeck; wrap it: neck=dict(type='mmcds.CDSNeck', neck=<the stock neck>, "
            '...), or let mmcds.add_cds(cfg) do it'
        )
    return supervision
