"""Adds contrastive deep supervision to a stock config, and removes it again."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS

from mmcds.config.channels import probe_channels, probe_stages, takes_one_size
from mmcds.config.check_teacher import HOOK as DISTILL_HOOK
from mmcds.config.check_teacher import check_teacher
from mmcds.config.resolved import NECK, NECKS, ResolvedCDS
from mmcds.config.schedule import ContrastSchedule
from mmcds.datasets.transforms.recording import configs_in
from mmcds.datasets.transforms.two_views import check_second_view
from mmcds.models.data_samples.formats import is_registered
from mmcds.models.necks import supervised_model, view_of
from mmcds.models.taps import check_channels, output_channels
from mmcds.utils.type_name import bare_kind, bare_name, type_name

CDS_HOOK = 'mmcds.CDSHook'
#: Hooks that :func:`add_cds` adds and :func:`remove_cds` removes.
HOOKS = (CDS_HOOK, 'mmcds.EpochSeedHook')
#: What the names of the contrast's parameters have in common.
CDS_WEIGHTS = 'neck.cds.'
DIAGNOSTICS_HOOK = 'mmcds.DiagnosticsHook'

#: Recipe of a detector: the defaults of the CDSNeck, chosen by cost and by measurements (docs).
DETECTION: dict[str, Any] = {}
#: Recipe of a classifier: the paper's, with a second view made on the device.
CLASSIFICATION: dict[str, Any] = dict(
    view=dict(type='PhotometricView'),
    sampler=dict(type='ImageSampler'),
    projector=dict(type='SepConvProjector'),
    loss=dict(type='ContrastiveLoss'),
    loss_weight=0.1,
    concat=True,
)

#: Recipe of a segmentor: the defaults of the CDSNeck on annotated pixels, contrasted across batches (Wang et al., ICCV
#: 2021).
SEGMENTATION: dict[str, Any] = dict(sampler=dict(type='PixelSampler'), queue_length=1024)
#: Recipe by the default scope of a config.
RECIPES = {'mmpretrain': CLASSIFICATION, 'mmseg': SEGMENTATION}

#: Samplers of detectors that do not detect boxes.
OTHER_SAMPLERS: dict[str, dict[str, Any]] = {'CLRNet': dict(type='ImageSampler')}

#: The preprocessor of trackers that train on clips, unless it has ``use_det_processor``.
CLIPS = 'TrackDataPreprocessor'
#: Model types that train on batches of another form than images and their data samples, with that form.
REFUSED = {
    'BaseSelfSupervisor': 'it trains on lists of views, CDS on images (N, 3, H, W)',
    'BaseReID': 'it trains on groups of crops (1, T, 3, H, W), CDS on images (N, 3, H, W)',
    'Mask2FormerVideo': 'it trains on videos (N, T, 3, H, W), CDS on images (N, 3, H, W)',
    'DepthEstimator': 'it learns the depth of pixels, CDS contrasts classes',
    'Detectron2Wrapper': 'its model is built by detectron2, which knows no CDSNeck',
}
#: Packages whose models train on batches that mmcds does not read, with what is missing.
OTHER_PACKAGES = {
    'mmpose': 'its keypoints are neither boxes nor classes of pixels, and no sampler takes them',
    'mmdet3d': 'its batches are point clouds, or images of several cameras with boxes in space',
    'mmaction': 'its batches are clips of frames (N, T, 3, H, W), CDS takes images (N, 3, H, W)',
    'mmocr': 'its annotations are polygons and texts, and no sampler takes them',
    'mmagic': 'its models are trained by losses between images, without annotated classes',
    'mmselfsup': 'its models are trained without annotations, on lists of views',
    'mmrazor': 'it wraps models in algorithms whose training step calls them in its own way',
}


def add_cds(cfg: Config, schedule: dict | None = None, **neck: Any) -> Config:
    """Turn any stock config into its CDS version.

    The neck of the model is wrapped by a CDSNeck and the hooks that drive it are added; type,
    backbone, heads, data and schedule do not change. A config that has CDS already is returned unchanged.

    Args:
        cfg (Config): Config of a detector, classifier or segmentor, or of a model that trains a detector inside.
        schedule (dict, optional): Arguments of :class:`~mmcds.engine.hooks.ContrastSchedule`. Defaults
            to None: constant.
        **neck: Arguments of the CDSNeck that differ from the recipe (``taps=['backbone.3']``).

    Returns:
        Config: A changed copy.

    Raises:
        ValueError: If the model cannot be supervised, with the reason, or an argument is not known.

    Example:
        >>> cfg = add_cds(mmengine.hub.get_config('mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'))
    """
    _check_arguments(cfg, schedule, neck)
    cfg = deepcopy(cfg)
    model = supervised_model(cfg)
    if has_cds(cfg):
        if neck or schedule:
            given = sorted([*neck, *(['schedule'] if schedule else [])])
            raise ValueError(
                f'add_cds: the config has CDS already, so {given} would be ignored; '
                'change cfg.model.neck and cfg.custom_hooks, or call remove_cds first'
            )
        return cfg
    # A model that is inherited from another package has a scope of its own.
    scope = model.get('_scope_') or cfg.model.get('_scope_') or cfg.get('default_scope') or 'mmdet'
    _refuse(cfg.model, model, scope)
    recipe = deepcopy(RECIPES.get(scope, DETECTION))
    if bare_name(model) in OTHER_SAMPLERS:
        recipe['sampler'] = deepcopy(OTHER_SAMPLERS[bare_name(model)])
    channels = neck.pop('channels', None) or _channels(model, scope)
    if scope == 'mmpretrain' and 'modules' not in channels and sum(map(bool, channels.get('backbone', []))) == 1:
        # A classifier's backbone returns its last map only; to supervise earlier stages, tap them as modules.
        stages = probe_stages(model, scope)
        channels = {**channels, **({'modules': stages} if stages else {})}
    # A part without a type changes arguments of the recipe's part, as on the command line.
    neck = {key: _over(recipe.get(key), given) for key, given in neck.items()}
    chosen = {**recipe, **neck}
    if 'view' not in chosen and bare_name(view_of(chosen)) != 'SingleView' and takes_one_size(model, scope):
        recipe['view'] = dict(type='PhotometricView')
    recipe.update(neck)
    if bare_name(recipe.get('sampler')) == 'PixelSampler':
        # Also for one that the caller gave, unless it says so itself.
        recipe['sampler'] = {**recipe['sampler'], **_ignored_class(model), **recipe['sampler']}
    # Keep a missing neck apart from neck=None, so that remove_cds can restore either.
    wrapped = dict(type=NECK, **({'neck': model['neck']} if 'neck' in model else {}), **recipe)
    if output_channels(model.get('neck')) != {'backbone': [], 'neck': [], **channels}:
        wrapped['channels'] = channels
    # Raise now on mistakes that would fail when the model is built.
    supervision = ResolvedCDS.of(wrapped).supervision
    _check_labels(cfg, supervision)
    model['neck'] = ConfigDict(wrapped)
    keys = _custom_keys(cfg)
    names = [f'{CDS_WEIGHTS}{name}' for name, _ in supervision.named_parameters()]
    # A key such as 'backbone' would also match neck.cds.projectors.backbone0.
    if any(rule.get('lr_mult', 1) != 1 and any(key in name for name in names) for key, rule in keys.items()):
        keys.setdefault(CDS_WEIGHTS, dict(lr_mult=1.0))
    hook = dict(type=HOOKS[0], **({'schedule': schedule} if schedule else {}))
    hooks = list(cfg.get('custom_hooks') or [])
    has_seed = any(type_name(custom) == HOOKS[1] for custom in hooks)
    cfg.custom_hooks = [*hooks, hook, *([] if has_seed else [dict(type=HOOKS[1])])]
    return cfg


def _custom_keys(cfg: Config) -> dict[str, Any]:
    """The learning rates by names of parameters in a config; an empty dict if it has none."""
    paramwise = (cfg.get('optim_wrapper') or {}).get('paramwise_cfg') or {}
    keys: dict[str, Any] = paramwise.get('custom_keys') or {}
    return keys


def _over(part: Any, given: Any) -> Any:
    """What the caller gave for a part, over the recipe's unless it has a ``type`` of its own."""
    if isinstance(part, Mapping) and isinstance(given, Mapping) and 'type' not in given:
        return {**part, **given}
    return given


def remove_cds(cfg: Config) -> Config:
    """Turn a CDS config back into the stock one.

    Args:
        cfg (Config): A config, with CDS or without.

    Returns:
        Config: A changed copy, whose model has the stock neck. CDSHook, DistillHook and DiagnosticsHook are
        removed, and an EpochSeedHook right after them, which is where :func:`add_cds` puts one that the config lacks.
    """
    cfg = deepcopy(cfg)
    model = supervised_model(cfg)
    if has_cds(cfg):
        wrapped = model['neck']
        if 'neck' in wrapped:
            model['neck'] = wrapped['neck']
        else:
            del model['neck']
        _custom_keys(cfg).pop(CDS_WEIGHTS, None)
    types = ['', *(type_name(hook) for hook in cfg.get('custom_hooks') or [])]
    driving = (HOOKS[0], DISTILL_HOOK, DIAGNOSTICS_HOOK)
    ours = [own in driving or (own == HOOKS[1] and before in driving) for before, own in pairwise(types)]
    if any(ours):
        kept = [hook for hook, own in zip(cfg.custom_hooks, ours, strict=True) if not own]
        cfg.custom_hooks = kept
        if not kept:
            cfg.pop('custom_hooks')
    return cfg


def has_cds(cfg: Config) -> bool:
    """Whether the model of a config has a CDSNeck, or the DSNNeck of its control."""
    return type_name(supervised_model(cfg).get('neck')) in NECKS


def check_cds(cfg: Config, teacher: bool = True) -> None:
    """Raise on mistakes that would fail when a config with CDS is built.

    Args:
        cfg (Config): A config, with CDS or without; without, nothing is checked.
        teacher (bool): Whether the teacher of a distilled student has to exist; only training needs it.
            Defaults to True.

    Raises:
        ValueError, FileNotFoundError: If a tap, a part or an argument of the CDSNeck is wrong, nothing drives it, or
            its teacher is missing.
    """
    if not has_cds(cfg):
        return
    resolved = ResolvedCDS.of(supervised_model(cfg)['neck'])
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if type_name(hook) == CDS_HOOK]
    if len(hooks) != 1:
        raise ValueError(
            f'custom_hooks has {len(hooks)} CDSHooks for the one CDSNeck; '
            "give custom_hooks=[dict(type='mmcds.CDSHook'), ...]"
        )
    ContrastSchedule.from_cfg(hooks[0].get('schedule'))
    check_second_view(cfg, resolved.supervision)
    _check_labels(cfg, resolved.supervision)
    if teacher:
        check_teacher(cfg, resolved.supervision)


def _check_labels(cfg: Config, supervision: Any) -> None:
    """Raise if the contrast goes by labels that are no classes."""
    loss = getattr(supervision, 'loss', None)  # deep supervision has none
    by_class = getattr(loss, 'positives', 'class') == 'class'
    if not (by_class and getattr(supervision.sampler, 'labels_are_classes', False)):
        return
    if any(bare_kind(part['type']) == 'RandomSamplingNegPos' for part in configs_in(cfg.get('train_dataloader'))):
        raise ValueError(
            'train_dataloader: RandomSamplingNegPos makes a label the place of a name in the caption of its image, so '
            'the same label is another class in each image; '
            + ("set neck.loss.positives='instance', with two views, or " if loss is not None else '')
            + 'train with labels of the data set'
        )


def _check_arguments(cfg: Any, schedule: Any, neck: dict[str, Any]) -> None:
    """Raise on arguments of :func:`add_cds` that cannot be applied. Removes a ``type`` that says what is added anyway.

    Args:
        cfg (Any): As given to :func:`add_cds`.
        schedule (Any): The same.
        neck (dict[str, Any]): Arguments of the CDSNeck, changed in place.
    """
    if not isinstance(cfg, Config):
        raise ValueError(
            f'add_cds: cfg is a {type(cfg).__name__}, not a Config; load it: mmengine.Config.fromfile(<path>)'
        )
    ContrastSchedule.from_cfg(schedule)
    if neck.get('channels'):
        check_channels(neck['channels'])
    if 'neck' in neck:
        raise ValueError(
            'add_cds: neck=... is no argument, since it wraps cfg.model.neck; change that first, and give arguments of '
            "the CDSNeck by themselves: add_cds(cfg, taps=['backbone.3'])"
        )
    if 'type' in neck:
        kind = neck.pop('type')
        if bare_name(dict(type=kind)) != bare_name(dict(type=NECK)):
            raise ValueError(
                f'add_cds: type={kind!r} is not the {NECK} that it adds; write another neck into the config: '
                f"cfg.model.neck=dict(type={kind!r}, neck=cfg.model.neck, ...), and dict(type='{CDS_HOOK}') into "
                'cfg.custom_hooks'
            )


def _ignored_class(model: Mapping[str, Any]) -> dict[str, int]:
    """The class of pixels that a segmentor's decode head ignores, where it is not the sampler's default."""
    heads = model.get('decode_head')
    head = heads[-1] if isinstance(heads, Sequence) and heads else heads
    ignored = head.get('ignore_index') if isinstance(head, Mapping) else None
    return {'ignore_index': ignored} if isinstance(ignored, int) else {}


def _refuse(model: Mapping[str, Any], supervised: Mapping[str, Any], scope: str) -> None:
    """Raise on a model whose training step CDS cannot join; ``supervised`` is the part with the backbone."""
    reason = REFUSED.get(bare_name(model))
    preprocessor = model.get('data_preprocessor') or {}
    if reason is None and bare_name(preprocessor) == CLIPS and not preprocessor.get('use_det_processor'):
        reason = (
            f'it trains on clips of frames (N, T, 3, H, W), CDS on images (N, 3, H, W); train model.detector '
            f'({bare_name(supervised)}) by itself with CDS and load the checkpoint into it'
        )
    packages = [scope, *_packages(model)]
    if reason is None and not set(packages) & set(OTHER_PACKAGES):
        # A user's own model may inherit from one of these.
        with MODELS.switch_scope_and_registry(scope) as registry:
            kind = registry.get(model['type']) if isinstance(model.get('type'), str) else model.get('type')
        parents = kind.__mro__ if inspect.isclass(kind) else ()
        reason = next((REFUSED[parent.__name__] for parent in parents if parent.__name__ in REFUSED), None)
        packages += [parent.__module__.partition('.')[0] for parent in parents]
    other = next((package for package in packages if package in OTHER_PACKAGES and not is_registered(package)), None)
    if reason is None and other is not None:
        reason = (
            f'mmcds does not read the batches of {other}: {OTHER_PACKAGES[other]}; a project can teach it by '
            f"mmcds.register_batch_format('{other}', ...)"
        )
    if reason is not None:
        raise ValueError(f'model.type={bare_name(model)!r} is refused: {reason}')


def _packages(model: Any) -> Iterator[str]:
    """The packages of a model, its preprocessor and its heads; backbone, neck and losses may be of any package."""
    if isinstance(model, Mapping):
        scope, dot, _ = type_name(model).partition('.')
        if dot:
            yield scope
        for key, value in model.items():
            if 'head' in key or key == 'data_preprocessor':
                yield from _packages(value)
    elif isinstance(model, (list, tuple)):
        for part in model:
            yield from _packages(part)


def _channels(model: Mapping[str, Any], scope: str) -> dict[str, Any]:
    channels = probe_channels(model, scope)
    if not any(channels['backbone']):
        raise ValueError(
            f'the backbone {model["backbone"].get("type")!r} returns no feature map (N, C, h, w), so there is '
            "nothing to tap; choose a backbone with out_indices, or out_type='featmap'"
        )
    return channels
