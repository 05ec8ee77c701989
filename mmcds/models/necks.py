"""CDSNeck and DSNNeck: build the stock neck and attach the training-only module ``neck.cds`` to it."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from mmcds.registry import MODELS
from mmcds.utils.type_name import bare_name

from .supervision.base import ATTRIBUTE, Supervision
from .supervision.contrastive import ContrastiveSupervision
from .supervision.deep import DeepSupervision
from .taps import resolve_taps

#: Lets older submodules be imported below this name (:mod:`mmcds.compat.old_names`).
__path__: list[str] = []

#: Default parts of a CDSNeck; the view is the one of :func:`view_of` where a second view is needed.
PARTS: dict[str, dict[str, Any]] = dict(
    # Half the side costs the backbone a quarter of its forward pass.
    view=dict(type='PhotometricView', scale=0.5),
    sampler=dict(type='InstanceSampler'),
    projector=dict(type='MLPProjector'),
    loss=dict(type='ContrastiveLoss', min_anchors=64),
)
#: Samplers whose samples have a class in detection and segmentation, and so find positives in the view they come from.
ONE_VIEW_SAMPLERS = ('InstanceSampler', 'PixelSampler')


def part_of(name: str, given: dict[str, Any] | None) -> dict[str, Any]:
    """Complete a part's config with the default.

    ``--cfg-options model.neck.view.scale=1.0`` makes a config without a type.

    Args:
        name (str): A key of :data:`PARTS`.
        given (dict[str, Any], optional): The part's config in the neck's config.

    Returns:
        dict[str, Any]: The default if ``given`` is None or empty; ``given`` over the default if it has no type; else
        ``given``.
    """
    if given is None:
        return PARTS[name]
    # build_part refuses anything but a dict.
    return {**PARTS[name], **given} if isinstance(given, Mapping) and 'type' not in given else given


def view_of(neck: Mapping[str, Any]) -> dict[str, Any]:
    """The view of a CDSNeck's config.

    Args:
        neck (Mapping[str, Any]): Arguments of the CDSNeck, at least those that are not left at their defaults.

    Returns:
        dict[str, Any]: The given one, completed by :func:`part_of`. Without one a ``SingleView``, or the default second
        view where something else in the config needs two.
    """
    if neck.get('view') not in (None, {}):
        return part_of('view', neck['view'])
    loss = neck.get('loss')
    needs_two = (
        neck.get('concat')
        or neck.get('stop_gradient')
        or neck.get('distill') is not None
        or (isinstance(loss, Mapping) and loss.get('positives') == 'instance')
        or bare_name(part_of('sampler', neck.get('sampler'))) not in ONE_VIEW_SAMPLERS
    )
    return PARTS['view'] if needs_two else dict(type='SingleView')


def changed_defaults(neck: Mapping[str, Any]) -> dict[str, Any]:
    """What a CDSNeck's config leaves to defaults that were others before version 0.2, with their values then.

    Args:
        neck (Mapping[str, Any]): Config of a CDSNeck.

    Returns:
        dict[str, Any]: By field below the neck: 'loss.min_anchors' -> 1.
    """
    found: dict[str, Any] = {} if 'loss_weight' in neck else {'loss_weight': 0.5}
    if neck.get('view') in (None, {}) and view_of(neck) is not PARTS['view']:
        found.update({f'view.{key}': value for key, value in PARTS['view'].items()})
    loss = neck.get('loss') or {}
    if 'type' not in loss and 'min_anchors' not in loss:
        found['loss.min_anchors'] = 1
    return found


@MODELS.register_module(name='CDSNeck')
def build_cds_neck(
    neck: dict | Sequence[dict] | None = None,
    taps: Sequence[str] | None = None,
    channels: Mapping[str, Any] | None = None,
    view: dict | None = None,
    sampler: dict | None = None,
    projector: dict | None = None,
    loss: dict | None = None,
    loss_weight: float | Sequence[float] = 0.1,
    queue_length: int = 0,
    stop_gradient: bool = False,
    concat: bool = False,
    distill: dict | None = None,
    recompute: bool | None = None,
) -> nn.Module:
    """Build the stock neck and attach a :class:`ContrastiveSupervision` to it as ``neck.cds``.

    The neck keeps its class and its forward, so inference is the stock graph. The stock weights keep their
    names; those of the contrast start with ``neck.cds.``.
    In training :class:`~mmcds.engine.hooks.CDSHook` adds the second view and the losses.

    Args:
        neck (dict | Sequence[dict], optional): The stock neck's config. Defaults to None: no
            neck; the backbone's outputs are passed on unchanged.
        taps (Sequence[str], optional): Outputs of the backbone ('backbone.0' is the first of its tuple)
            and of the neck ('neck.0'), or modules inside the backbone ('backbone.layer2') whose ``channels`` are
            given. Defaults to None: all outputs of the backbone, as in the paper, except those of frozen stages.
        channels (Mapping[str, Any], optional): Channels of all outputs of 'backbone'
            and 'neck', needed if the stock neck's config does not give them; under 'modules', those of modules inside
            the backbone by name. Defaults to None.
        view (dict, optional): Second view. Defaults to None: ``dict(type='SingleView')``, which makes none and needs no
            second pass; ``dict(type='PhotometricView', scale=0.5)`` where ``concat``, ``stop_gradient``, ``distill``,
            ``positives='instance'`` or another sampler than InstanceSampler and PixelSampler needs a second view.
            Without ``type`` it is a PhotometricView with these arguments, hence there are two views. In ``sampler``,
            ``projector`` and ``loss`` a config without ``type`` changes arguments of the default.
        sampler (dict, optional): Chooses the samples. Defaults to ``dict(type='InstanceSampler')``.
        projector (dict, optional): Projection head of each tap. Defaults to ``dict(type='MLPProjector')``.
        loss (dict, optional): Loss. Defaults to ``dict(type='ContrastiveLoss', min_anchors=64)``.
        loss_weight (float | Sequence[float]): Weight of each tap, or one per tap, >= 0. Defaults to 0.1, the released
            code's on CIFAR; docs/configuration.md compares it with 0.5.
        queue_length (int): Embeddings of earlier iterations kept per tap. Defaults to 0.
        stop_gradient (bool): Whether to stop the gradient through the second view. Defaults to False.
        concat (bool): Whether both views pass the backbone as one batch, as in the paper. Second views of at most
            half the size are packed side by side on canvases of the first view's size. No effect without a second
            view. Defaults to False: a second pass, which does not update running statistics.
        distill (dict, optional): Arguments of :class:`~mmcds.models.losses.DistillationLoss`, for the
            teacher that :class:`~mmcds.engine.hooks.DistillHook` loads. Defaults to None: no teacher.
        recompute (bool, optional): Whether to recompute the second view's own pass through the backbone in the
            backward pass (activation checkpointing): less memory, more time, equal gradients. Defaults to None: on a
            CPU only. On a GPU a step then takes a fifth more memory than the stock's, and a fifth less time than with
            ``recompute=True`` (docs/cost.md).

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
    with own_random_numbers():
        supervision = ContrastiveSupervision(
            taps=resolve_taps(taps, neck, channels),
            view=view_of(
                dict(view=view, sampler=sampler, loss=loss, concat=concat, stop_gradient=stop_gradient, distill=distill)
            ),
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
    """Build the stock neck and attach a :class:`DeepSupervision` to it, as a control for the contrast.

    As with :func:`build_cds_neck`, the CDSHook drives it and inference is the stock graph. The losses are called
    ``loss_dsn_<tap>``.

    Args:
        neck (dict | Sequence[dict], optional): The stock neck's config. Defaults to None: there is none.
        num_classes (int): Classes of the images (classification) or instances (detection). Defaults to 80, COCO's.
        taps (Sequence[str], optional): As in the CDSNeck. Defaults to None: all outputs of the backbone
            except those of frozen stages.
        channels (Mapping[str, Sequence[int]], optional): As in the CDSNeck. Defaults to None.
        sampler (dict, optional): Chooses the samples to classify. Defaults to ``dict(type='InstanceSampler')``.
        projector (dict, optional): Projection head before each linear classifier. Defaults to
            ``dict(type='MLPProjector')``.
        loss_weight (float | Sequence[float]): Weight of each tap, or one per tap, >= 0. Defaults to 1.0.

    Returns:
        nn.Module: The stock neck, an object of its own class, with the attribute ``cds``.

    Raises:
        ValueError: If a tap, a part or one of their arguments is not known or out of range.

    Example:
        >>> neck = dict(type='mmcds.DSNNeck', neck=dict(type='GlobalAveragePooling'), num_classes=100)
    """
    with own_random_numbers():
        supervision = DeepSupervision(
            taps=resolve_taps(taps, neck, channels),
            # The defaults of the contrast, so that only the loss differs.
            sampler=part_of('sampler', sampler),
            projector=part_of('projector', projector),
            num_classes=num_classes,
            loss_weight=loss_weight,
            # Taps named by the user are kept, even if frozen.
            leave_out_frozen=taps is None,
        )
    return with_supervision(neck, supervision)


def with_supervision(neck: dict | Sequence[dict] | None, supervision: Supervision) -> nn.Module:
    """Build a stock neck and attach a supervision to it.

    Args:
        neck (dict | Sequence[dict], optional): The stock neck's config; None makes a
            :class:`PassThroughNeck`.
        supervision (Supervision): The module to attach.

    Returns:
        nn.Module: The neck, an object of its own class.
    """
    if neck is None:
        stock: nn.Module = PassThroughNeck()
    elif isinstance(neck, Mapping):
        stock = ROOT_MODELS.build(neck)
    else:
        stock = NeckChain([ROOT_MODELS.build(part) for part in neck])
    stock.add_module(ATTRIBUTE, supervision)
    supervision.reminder = stock.register_forward_pre_hook(_tell_if_idle)
    return stock


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """Context with random numbers of its own, which leaves torch's CPU generator as it was.

    So the stock model's weights are the same with and without a supervision.
    """
    with torch.random.fork_rng(devices=[]):
        # Not the numbers that the stock model draws next. torch.manual_seed would also seed the GPUs.
        torch.default_generator.manual_seed(int(torch.randint(2**62, ())))
        yield


def _tell_if_idle(neck: nn.Module, args: tuple) -> None:
    """In its first call warn if the model is trained and nothing calls its supervision; attaching removes this hook."""
    supervision: Any = getattr(neck, ATTRIBUTE)
    supervision.reminder.remove()
    if neck.training and torch.is_grad_enabled():
        print_log(
            'model.neck is a CDSNeck or DSNNeck, and the model trains without its losses: '
            "add dict(type='mmcds.CDSHook') "
            'to custom_hooks, where a list of your own replaces the inherited one, or train with the stock neck',
            logger='current',
            level=logging.WARNING,
        )


def supervised_part(model: nn.Module) -> nn.Module:
    """The part of a model that has the backbone and the neck.

    It is the model itself, or the detector that it trains: the student of a semi-supervised detector such as
    SoftTeacher, the detector of a tracker.
    """
    if not isinstance(getattr(model, 'backbone', None), nn.Module):
        for name in ('student', 'detector'):
            inner = getattr(model, name, None)
            if isinstance(inner, nn.Module):
                return inner
    return model


def supervised_model(cfg: Config) -> ConfigDict:
    """The part of a config's model that has the backbone and the neck: the config of :func:`supervised_part`.

    It is the model itself, or the ``detector`` that it trains, as in SoftTeacher and the trackers.

    Raises:
        ValueError: If the config has no model.
    """
    model = cfg.get('model')
    if not isinstance(model, Mapping):
        raise ValueError('the config has no model; give a config that trains, such as mmdet::retinanet/...')
    inner = model.get('detector')
    return inner if isinstance(inner, Mapping) and not model.get('backbone') else model


def supervised_neck(cfg: Config) -> str:
    """Field of a config that holds the neck of its :func:`supervised_model`, for messages."""
    return 'model.neck' if supervised_model(cfg) is cfg.get('model') else 'model.detector.neck'


def find_supervision(model: nn.Module) -> Supervision:
    """Return the supervision of a model.

    Args:
        model (nn.Module): A detector or classifier, or a model that trains one (:func:`supervised_part`), without a
            wrapper such as DDP.

    Raises:
        ValueError: If its neck is not a CDSNeck.
    """
    part = supervised_part(model)
    supervision = getattr(getattr(part, 'neck', None), ATTRIBUTE, None)
    if not isinstance(supervision, Supervision):
        neck = type(getattr(part, 'neck', None)).__name__
        raise ValueError(
            f"model.neck is {neck}, not a CDSNeck; wrap it: neck=dict(type='mmcds.CDSNeck', neck=<the stock neck>, "
            '...), or let mmcds.add_cds(cfg) do it'
        )
    return supervision


@MODELS.register_module()
class PassThroughNeck(BaseModule):
    """Returns its inputs unchanged; for models without a neck."""

    def forward(self, inputs: Any) -> Any:
        """Return ``inputs``."""
        return inputs


class NeckChain(BaseModule):
    """A list of necks, each fed by the one before.

    mmdet builds an ``nn.Sequential``, which would also call the supervision that is attached to it. The names of
    the weights are the same.

    Args:
        necks (Sequence[nn.Module]): In the order of the calls.
    """

    def __init__(self, necks: Sequence[Any]) -> None:
        super().__init__()
        self._names = [str(i) for i in range(len(necks))]
        for name, neck in zip(self._names, necks, strict=True):
            self.add_module(name, neck)

    def forward(self, inputs: Any) -> Any:
        """Pass ``inputs`` through all necks."""
        for name in self._names:
            inputs = self._modules[name](inputs)
        return inputs
