"""``type='mmcds.DSNNeck'``: the stock neck, with auxiliary classifiers beside its weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from mmcds.registry import MODELS

from ..deep_supervision import DeepSupervision
from ..taps import resolve_taps
from .cds_neck import part_of
from .stock_neck import with_supervision


@MODELS.register_module(name='DSNNeck')
def build_dsn_neck(
    neck: dict | Sequence[dict] | None = None,
    num_classes: int = 80,
    taps: Sequence[str] | None = None,
    channels: Mapping[str, Any] | None = None,
    sampler: dict | None = None,
    projector: dict | None = None,
    loss_weight: float | Sequence[float] = 1.0,
) -> nn.Module:
    """Build the stock neck and hang a :class:`DeepSupervision` on it, as a control for the contrast.

    Everything said of :func:`~mmcds.models.necks.cds_neck.build_cds_neck` holds: the same hook drives it,
    and at inference nothing is left of it. The losses are called ``loss_dsn_<tap>``.

    Args:
        neck (dict | Sequence[dict], optional): The stock neck's config. Defaults to None: there is none.
        num_classes (int): Classes of the images (classification) or instances (detection). Defaults to 80, COCO's.
        taps (Sequence[str], optional): As in the CDSNeck. Defaults to None: all outputs of the backbone but
            for those of frozen stages.
        channels (Mapping[str, Sequence[int]], optional): As in the CDSNeck. Defaults to None.
        sampler (dict, optional): What is classified. Defaults to ``dict(type='InstanceSampler')``.
        projector (dict, optional): What stands before each linear classifier. Defaults to
            ``dict(type='MLPProjector')``.
        loss_weight (float | Sequence[float]): Weight of each tap, or one per tap, >= 0. Defaults to 1.0.

    Returns:
        nn.Module: The stock neck, an object of its own class, with the attribute ``cds``.

    Raises:
        ValueError: If a tap, a part or one of their arguments is not known or out of range.

    Example:
        >>> neck = dict(type='mmcds.DSNNeck', neck=dict(type='GlobalAveragePooling'), num_classes=100)
    """
    supervision = DeepSupervision(
        taps=resolve_taps(taps, neck, channels),
        # Those of the contrast, so that the two differ in the loss alone.
        sampler=part_of('sampler', sampler),
        projector=part_of('projector', projector),
        num_classes=num_classes,
        loss_weight=loss_weight,
        # Taps named by the user are kept, even if frozen.
        leave_out_frozen=taps is None,
    )
    return with_supervision(neck, supervision)
