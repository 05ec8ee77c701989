"""The stock neck with a supervision hung on it, and how to find that again."""

from collections.abc import Mapping, Sequence

from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from ..supervision import Supervision
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
