"""``type='mmcds.CDSNeck'``: the stock neck, with the contrast beside its weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from mmcds.registry import MODELS

from ..contrastive_supervision import ContrastiveSupervision
from ..taps import resolve_taps
from .stock_neck import with_supervision

#: Parts of the contrast where a config names none.
PARTS: dict[str, dict[str, Any]] = dict(
    # Half the side costs the backbone a quarter of its forward pass.
    view=dict(type='PhotometricView', scale=0.5),
    sampler=dict(type='InstanceSampler'),
    projector=dict(type='MLPProjector'),
    loss=dict(type='ContrastiveLoss'),
)


def part_of(name: str, given: dict[str, Any] | None) -> dict[str, Any]:
    """A part's config, completed where it has no type, as ``--cfg-options model.neck.view.scale=1.0`` makes it.

    Args:
        name (str): A key of :data:`PARTS`.
        given (dict[str, Any], optional): What the neck's config says.

    Returns:
        dict[str, Any]: The default for None or an empty one, ``given`` over the default where it has no type, else
        ``given``.
    """
    if not given:
        return PARTS[name]
    # What is no dict at all is refused where the part is built.
    return {**PARTS[name], **given} if isinstance(given, Mapping) and 'type' not in given else given


@MODELS.register_module(name='CDSNeck')
def build_cds_neck(
    neck: dict | Sequence[dict] | None = None,
    taps: Sequence[str] | None = None,
    channels: Mapping[str, Any] | None = None,
    view: dict | None = None,
    sampler: dict | None = None,
    projector: dict | None = None,
    loss: dict | None = None,
    loss_weight: float | Sequence[float] = 0.5,
    queue_length: int = 0,
    stop_gradient: bool = False,
    concat: bool = False,
    distill: dict | None = None,
    recompute: bool = True,
) -> nn.Module:
    """Build the stock neck and hang a :class:`ContrastiveSupervision` on it as ``neck.cds``.

    The neck stays an object of its own class with its own forward, so that inference is the stock
    graph and its weights keep the stock's names; those of the contrast start with ``neck.cds.``.
    In training :class:`~mmcds.engine.hooks.CDSHook` adds the second view and the losses.

    Args:
        neck (dict | Sequence[dict], optional): The stock neck's config. Defaults to None: there is
            none, and what the backbone returns goes on as it is.
        taps (Sequence[str], optional): Outputs of the backbone ('backbone.0' is the first of its tuple)
            and of the neck ('neck.0'), or modules inside the backbone ('backbone.layer2') whose ``channels`` are
            given. Defaults to None: all outputs of the backbone, as in the paper, but for those of frozen stages.
        channels (Mapping[str, Any], optional): Channels of all outputs of 'backbone'
            and 'neck', where the stock neck's config does not say, and under 'modules' those of modules inside the
            backbone by their names. Defaults to None.
        view (dict, optional): Second view. Defaults to ``dict(type='PhotometricView', scale=0.5)``;
            ``dict(type='SingleView')`` makes none and needs no second pass. This part and the next three,
            given without a ``type``, change arguments of their defaults.
        sampler (dict, optional): What is contrasted. Defaults to ``dict(type='InstanceSampler')``.
        projector (dict, optional): Projection head of each tap. Defaults to ``dict(type='MLPProjector')``.
        loss (dict, optional): Loss. Defaults to ``dict(type='ContrastiveLoss')``.
        loss_weight (float | Sequence[float]): Weight of each tap, or one per tap, >= 0. Defaults
            to 0.5 (the released code's on ImageNet; of 0.1, 0.5 and 1 the one with the best AP50
            in docs/results_screening.md).
        queue_length (int): Embeddings of earlier iterations kept per tap. Defaults to 0.
        stop_gradient (bool): Whether nothing learns through the second view. Defaults to False.
        concat (bool): Whether both views pass the backbone as one batch, as in the paper. Views of at most half the
            size lie side by side on canvases of the first view's size. Without a second view nothing changes.
            Defaults to False: a second pass, which leaves running statistics alone.
        distill (dict, optional): Arguments of :class:`~mmcds.models.losses.DistillationLoss`, for the
            teacher that :class:`~mmcds.engine.hooks.DistillHook` brings. Defaults to None: no teacher.
        recompute (bool): Whether the second view's own pass through the backbone is computed again in the backward
            pass (activation checkpointing): less memory for a little more time, equal gradients. Defaults to True:
            without it a step of Faster R-CNN takes a fifth more memory than the stock's (docs/cost.md).

    Returns:
        nn.Module: The stock neck, an object of its own class, with the attribute ``cds``.

    Raises:
        ValueError: If a tap, a part or one of their arguments is not known or out of range.

    Example:
        >>> neck = dict(
        ...     type='mmcds.CDSNeck',
        ...     neck=dict(type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5),
        ...     taps=['backbone.1', 'neck.0'],
        ...     sampler=dict(type='InstanceSampler', background=8),
        ... )
    """
    supervision = ContrastiveSupervision(
        taps=resolve_taps(taps, neck, channels),
        view=part_of('view', view),
        sampler=part_of('sampler', sampler),
        projector=part_of('projector', projector),
        loss=part_of('loss', loss),
        loss_weight=loss_weight,
        # Taps named by the user are kept, even if frozen.
        leave_out_frozen=taps is None,
        queue_length=queue_length,
        stop_gradient=stop_gradient,
        concat=concat,
        distill=distill,
        recompute=recompute,
    )
    return with_supervision(neck, supervision)
