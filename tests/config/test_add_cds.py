"""Adding CDS to stock configs of mmdet and mmpretrain, and taking it off again."""

from copy import deepcopy
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from mmdet.models.reid import BaseReID
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from toys import build, toy_model

from mmcds import add_cds, remove_cds
from mmcds.apis import check_cds, has_cds
from mmcds.config.load_config import load_config
from mmcds.engine.hooks import CDSHook
from mmcds.models import build_cds_neck, find_supervision

CLASSIFIER = dict(
    default_scope='mmpretrain',
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3)),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=4, in_channels=512),
    ),
)
USERS_HOOKS = [dict(type='EMAHook', momentum=0.1), dict(type='CheckInvalidLossHook')]


def variants() -> dict[str, Config]:
    plain = toy_model()
    found = {'no custom_hooks': plain}
    for name, hooks in (
        ('empty custom_hooks', []),
        ('own hooks', USERS_HOOKS),
        ('own seed hook', [dict(type='mmcds.EpochSeedHook')]),
        ('own seed hook among others', [USERS_HOOKS[0], dict(type='mmcds.EpochSeedHook'), USERS_HOOKS[1]]),
    ):
        found[name] = deepcopy(plain)
        found[name].custom_hooks = deepcopy(hooks)
    found['a list of necks'] = deepcopy(plain)
    found['a list of necks'].model.neck = [
        plain.model.neck,
        dict(type='BFP', in_channels=16, num_levels=5, refine_level=2),
    ]
    found['no neck'] = deepcopy(plain)
    del found['no neck'].model.neck
    found['neck=None'] = deepcopy(plain)
    found['neck=None'].model.neck = None
    found['a classifier'] = Config(deepcopy(CLASSIFIER))
    found['the stock file'] = load_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    return found


@pytest.mark.parametrize('name', list(variants()))
def test_round_trip_gives_back_the_stock_config_exactly(name: str) -> None:
    stock = variants()[name]
    before = stock.to_dict()
    cds = add_cds(stock)
    if name == 'empty custom_hooks':  # which says what saying nothing does
        del before['custom_hooks']
        stock.pop('custom_hooks')
    assert stock.to_dict() == before
    assert has_cds(cds)
    assert not has_cds(stock)
    check_cds(cds)
    after = remove_cds(cds)
    assert has_cds(cds)
    assert after.to_dict() == before
    assert list(after.model) == list(stock.model)
    assert remove_cds(stock).to_dict() == before
    assert add_cds(cds).to_dict() == cds.to_dict()


@pytest.mark.parametrize('name', ['own hooks', 'own seed hook', 'no custom_hooks'])
def test_only_neck_and_hooks_change(name: str) -> None:
    stock = variants()[name]
    cds = add_cds(stock)
    types = [hook['type'] for hook in cds.custom_hooks]
    assert types.count('mmcds.CDSHook') == 1
    assert types.count('mmcds.EpochSeedHook') == 1
    others = [hook for hook in cds.custom_hooks if not hook['type'].startswith('mmcds.')]
    assert others == (USERS_HOOKS if name == 'own hooks' else [])
    for cfg in (stock, cds):
        cfg.pop('custom_hooks', None)
        cfg.model.pop('neck')
    assert cds.to_dict() == stock.to_dict()


def test_parts_are_overridden_and_the_schedule_reaches_the_hook() -> None:
    schedule = dict(warmup=0.1, stop=0.9)
    cfg = add_cds(
        toy_model(),
        schedule=schedule,
        taps=['backbone.3', 'neck.1'],
        projector=dict(type='SepConvProjector'),
        loss=dict(type='ContrastiveLoss', temperature=0.2),
        loss_weight=[0.3, 0.4],
        queue_length=16,
    )
    assert next(hook for hook in cfg.custom_hooks if hook.type == 'mmcds.CDSHook').schedule == schedule
    cds: Any = find_supervision(build(cfg))
    assert [tap.name for tap in cds.taps] == ['backbone.3', 'neck.1']
    assert {type(p).__name__ for p in cds.projectors.values()} == {'SepConvProjector'}
    assert cds.loss.temperature == 0.2
    assert cds.loss_weights == [0.3, 0.4]
    assert set(cds.queues) == {'backbone3', 'neck1'}
    assert type(cds.sampler).__name__ == 'InstanceSampler'  # what was not overridden


def test_a_classifier_gets_the_paper_s_recipe() -> None:
    """PAPER: all four stages, SepConv heads, tau 0.07, weight 0.1, both views in one batch."""
    cfg = add_cds(Config(deepcopy(CLASSIFIER)))
    neck = cfg.model.neck
    assert neck.channels == dict(backbone=[64, 128, 256, 512], neck=[64, 128, 256, 512])
    assert (neck.concat, neck.loss_weight) == (True, 0.1)
    assert (neck.sampler.type, neck.projector.type) == ('ImageSampler', 'SepConvProjector')
    pytest.importorskip('mmpretrain')
    from mmengine.registry import MODELS, DefaultScope

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        cds: Any = find_supervision(MODELS.build(cfg.model))
    assert [p.out_channels for p in cds.projectors.values()] == [512] * 4
    assert cds.loss.temperature == 0.07


def test_channels_are_written_only_where_the_neck_does_not_say() -> None:
    assert 'channels' not in add_cds(toy_model()).model.neck
    bare = variants()['no neck']
    assert add_cds(bare).model.neck.channels == dict(backbone=[16, 32, 64, 128])
    given = add_cds(bare, channels=dict(backbone=[16, 32, 64, 128]), taps=['backbone.2'])
    assert given.model.neck.channels == dict(backbone=[16, 32, 64, 128])


def refused(name: str) -> Config:
    return Config(dict(model=dict(type=name, backbone=dict(type='ResNet', depth=18))))


@pytest.mark.parametrize(
    ('cfg', 'arguments', 'message'),
    [
        (
            toy_model(),
            dict(tap=['backbone.1']),
            r"^mmcds\.CDSNeck: argument='tap' is not known; nearest: taps.*; valid: neck, taps, ch",
        ),
        (
            toy_model(),
            dict(taps=['backbone.4']),
            r"^neck\.taps='backbone\.4' is not known; .*the backbone has 4 outputs$",
        ),
        (toy_model(), dict(taps=['neck.5']), r"^neck\.taps='neck\.5' is not known; .*the neck has 5 outputs$"),
        (
            toy_model(),
            dict(sampler=dict(type='Boxes')),
            r"^neck\.sampler\.type='Boxes' is not known; .*valid: InstanceSampler",
        ),
        (
            toy_model(),
            dict(sampler=dict(type='InstanceSampler', roi=7)),
            r"^neck\.sampler: argument='roi' is not known",
        ),
        (
            toy_model(),
            dict(loss_weight=[1, 2]),
            r"^neck\.loss_weight=\[1, 2\] has 2 numbers for the 4 taps \['backbone\.0",
        ),
        (
            toy_model(),
            dict(neck=dict(taps=['backbone.3'])),
            r'^add_cds: neck=\.\.\. is no argument, .*add_cds\(cfg, taps',
        ),
        (toy_model(), dict(type='mmcds.DSNNeck'), r"^add_cds: type='mmcds\.DSNNeck' is not the mmcds\.CDSNeck that it"),
        (toy_model(), dict(channels='x'), r"^neck\.channels='x' is not a dict"),
        (toy_model(), dict(channels=dict(backbone=16)), r'^neck\.channels\.backbone=16 is not a list'),
        (toy_model(), dict(schedule=dict(stopp=0.9)), r"^schedule='stopp' is not known; nearest: stop;"),
        (toy_model(), dict(schedule='cosine'), r"^schedule='cosine' is not a dict"),
        (toy_model().to_dict(), {}, r'^add_cds: cfg is a dict, not a Config; load it: mmengine\.Config\.fromfile'),
        ('retinanet.py', {}, r'^add_cds: cfg is a str, not a Config'),
        (
            Config(dict(default_scope='mmdet')),
            {},
            r'^the config has no model; give a config that trains, such as mmdet::retinanet',
        ),
        (Config(dict(model=dict(type='X'))), {}, r"^model 'X' has no 'backbone' in its config"),
        (refused('BaseReID'), {}, r"^model\.type='BaseReID' is refused: it trains on groups of crops"),
        (
            Config(dict(model=dict(type='SoftTeacher', detector=dict(type='FasterRCNN')))),
            {},
            r"^model 'FasterRCNN' has no 'backbone' in its config",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(cfg: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        add_cds(cfg, **arguments)
    assert '\n' not in str(caught.value)


def test_mistakes_in_a_config_with_cds_are_found_before_it_is_built() -> None:
    cds = add_cds(toy_model())
    check_cds(toy_model())
    for hooks, count in (([], 0), ([dict(type='mmcds.CDSHook')] * 2, 2)):
        cds.custom_hooks = hooks
        with pytest.raises(
            ValueError, match=rf'^custom_hooks has {count} CDSHooks for the one CDSNeck; give custom_hooks='
        ):
            check_cds(cds)
    cds.custom_hooks = [dict(type='mmcds.CDSHook', schedule=dict(warmpu=1))]
    with pytest.raises(ValueError, match=r"^schedule='warmpu' is not known; nearest: warmup"):
        check_cds(cds)
    cds.custom_hooks = [dict(type='mmcds.CDSHook')]
    cds.model.neck.taps = ['backbone.9']
    with pytest.raises(ValueError, match=r"^neck\.taps='backbone\.9' is not known"):
        check_cds(cds)


def spellings() -> dict[str, tuple[Any, Any]]:
    """Ways to write the types of neck and hook, in text and pure-Python configs."""
    return {
        'scoped': ('mmcds.CDSNeck', 'mmcds.CDSHook'),
        'objects': (build_cds_neck, CDSHook),
        'import paths': ('mmcds.models.necks.build_cds_neck', 'mmcds.engine.hooks.CDSHook'),
        '_scope_': ('CDSNeck', 'CDSHook'),
    }


@pytest.mark.parametrize('spelling', list(spellings()))
def test_cds_is_recognised_however_its_types_are_written(spelling: str) -> None:
    stock = toy_model()
    cds = add_cds(stock, view=dict(type='PhotometricView', scale=0.5))
    neck, hook = spellings()[spelling]
    cds.model.neck['type'], cds.custom_hooks[0]['type'] = neck, hook
    if spelling == '_scope_':
        for part in (cds.model.neck, cds.model.neck.view, cds.custom_hooks[0]):
            part['_scope_'] = 'mmcds'
        # A scope holds for what is inside, too.
        stock.model.neck.type = cds.model.neck.neck.type = 'mmdet.FPN'
    if spelling == 'import paths':
        cds.model.neck.view['type'] = 'mmcds.models.views.photometric.PhotometricView'
    assert has_cds(cds)
    check_cds(cds)
    assert add_cds(cds).model.neck == cds.model.neck
    assert [tap.name for tap in find_supervision(build(cds)).taps] == [f'backbone.{i}' for i in range(4)]
    assert remove_cds(cds).to_dict() == stock.to_dict()


class TrackReID(BaseReID):
    """A user's own, of a refused kind."""


@pytest.mark.parametrize('kind', ['CDSNeck', 'mmcds.CDSNeck', build_cds_neck])
def test_the_type_of_what_is_added_may_be_given(kind: Any) -> None:
    assert add_cds(toy_model(), type=kind).to_dict() == add_cds(toy_model()).to_dict()


@pytest.mark.parametrize(
    ('kind', 'message'),
    [
        ('mmcds.models.necks.CDSNek', r"has no attribute 'CDSNek'; nearest: mmcds\.CDSNeck"),
        ('mmcds.models.nekcs.CDSNeck', r"No module named 'mmcds\.models\.nekcs'; nearest: mmcds\.CDSNeck"),
        ('mmcds.models.necks.X', r"has no attribute 'X'; give a registered name, such as 'mmcds\.CDSNeck'$"),
    ],
)
def test_a_path_that_leads_to_nothing_is_named(kind: str, message: str) -> None:
    cfg = add_cds(toy_model())
    cfg.model.neck.type = kind
    with pytest.raises(ValueError, match=rf"^type='{kind}' cannot be imported: .*{message}"):
        check_cds(cfg)


@pytest.mark.parametrize('part', ['view', 'sampler', 'projector', 'loss'])
@pytest.mark.parametrize('kind', [5, True, ['InstanceSampler'], {}])
def test_a_type_without_a_name_is_refused(part: str, kind: Any) -> None:
    with pytest.raises(ValueError, match=r'^type=.* is neither a name nor a class; give one, such as'):
        add_cds(toy_model(), **{part: dict(type=kind)})


@pytest.mark.parametrize('kind', [BaseReID, TrackReID, 'BaseReID', 'mmdet.BaseReID'])
def test_refused_models_are_recognised_however_they_are_written(kind: Any) -> None:
    cfg = Config(dict(model=dict(backbone=dict(type='ResNet', depth=18))))
    cfg.model['type'] = kind
    with pytest.raises(ValueError, match=r'ReID\' is refused: it trains on groups of crops'):
        add_cds(cfg)


@pytest.mark.parametrize('package', ['mmpose', 'mmdet3d', 'mmaction'])
def test_models_of_other_packages_are_refused_by_name(package: str) -> None:
    by_scope, by_type, by_head = (toy_model('retinanet') for _ in range(3))
    by_scope.default_scope = package
    by_type.model.type = f'{package}.TheirModel'
    by_head.model.bbox_head.type = f'{package}.TheirHead'
    for cfg in (by_scope, by_type, by_head):
        with pytest.raises(ValueError, match=rf'is refused: mmcds does not read the batches of {package}: .*register_'):
            add_cds(cfg)
    # A loss may be anybody's.
    other = toy_model('retinanet')
    other.model.bbox_head.loss_bbox.type = f'{package}.TheirLoss'
    assert has_cds(add_cds(other))


def test_trackers_of_clips_are_refused_and_those_of_images_are_not() -> None:
    detector = toy_model('retinanet').model
    clips = dict(type='TrackDataPreprocessor', mean=[0, 0, 0], std=[1, 1, 1])
    cfg = Config(dict(default_scope='mmdet', model=dict(type='QDTrack', detector=detector, data_preprocessor=clips)))
    with pytest.raises(ValueError, match=r"^model\.type='QDTrack' is refused: it trains on clips of frames"):
        add_cds(cfg)
    cfg.model.type, cfg.model.data_preprocessor.use_det_processor = 'ByteTrack', True
    cds = add_cds(cfg)
    assert cds.model.detector.neck.type == 'mmcds.CDSNeck'
    assert 'neck' not in cds.model
    check_cds(cds)
    assert has_cds(cds)
    assert remove_cds(cds).to_dict() == cfg.to_dict()


def test_a_segmentor_gets_pixels_and_the_class_that_its_head_ignores() -> None:
    backbone = dict(type='mmdet.ResNet', depth=18)
    head = dict(type='mmseg.FCNHead', ignore_index=7)
    cfg = Config(dict(default_scope='mmseg', model=dict(type='mmseg.EncoderDecoder', backbone=backbone)))
    for heads in (head, [dict(type='mmseg.FCNHead'), head]):
        cfg.model.decode_head = heads
        if find_spec('mmseg'):
            assert add_cds(cfg).model.neck.sampler == dict(type='PixelSampler', ignore_index=7)
            own = dict(type='mmcds.PixelSampler', per_class=4)
            assert add_cds(cfg, sampler=own).model.neck.sampler == dict(own, ignore_index=7)
            own['ignore_index'] = 0
            assert add_cds(cfg, sampler=own).model.neck.sampler == own


def test_a_model_is_read_in_the_scope_that_it_was_inherited_from() -> None:
    """MMEngine writes ``_scope_`` into a model that a config of another scope inherits."""
    cfg = toy_model('retinanet')
    cfg.default_scope = 'another'
    cfg.model._scope_ = 'mmdet'
    cfg.model.neck = dict(type='ChannelMapper', in_channels=[16, 32, 64, 128], out_channels=16, num_outs=5)
    assert add_cds(cfg).model.neck.neck.type == 'ChannelMapper'


def test_arguments_for_a_config_that_has_cds_are_not_ignored() -> None:
    cfg = add_cds(toy_model())
    assert add_cds(cfg).to_dict() == cfg.to_dict()
    with pytest.raises(ValueError, match=r"has CDS already, so \['queue_length'\] would be ignored.*remove_cds"):
        add_cds(cfg, queue_length=4)


def test_a_part_without_a_type_changes_the_recipe_s_part() -> None:
    """As on the command line; for each package the recipe is another."""
    classifier = Config(deepcopy(CLASSIFIER))
    neck = add_cds(
        classifier, view=dict(cutout_prob=0.5), projector=dict(num_convs=1), loss=dict(temperature=0.1)
    ).model.neck
    assert neck.view.to_dict() == dict(type='PhotometricView', cutout_prob=0.5)
    assert neck.projector.to_dict() == dict(type='SepConvProjector', num_convs=1)
    assert neck.loss.to_dict() == dict(type='ContrastiveLoss', temperature=0.1)
    # One with a type is that alone.
    assert add_cds(classifier, projector=dict(type='MLPProjector')).model.neck.projector.to_dict() == dict(
        type='MLPProjector'
    )
    detector = add_cds(toy_model(), sampler=dict(jitter=0.2)).model.neck
    assert detector.sampler.to_dict() == dict(jitter=0.2)


@pytest.mark.parametrize('name', ['faster_rcnn', 'retinanet'])
def test_the_initial_weights_are_the_stock_s(name: str, mmdet_scope: None) -> None:
    """FPN initialises all convolutions below it, and the paper's projector has some."""
    stock = build(toy_model(name)).state_dict()
    model = build(
        add_cds(toy_model(name), projector=dict(type='SepConvProjector', init_cfg=dict(type='Xavier', layer='Conv2d')))
    )
    weights = model.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in stock.items())
    # And the projectors keep their own initial weights.
    own = build(add_cds(toy_model(name), projector=dict(type='SepConvProjector'))).neck.cds.projectors
    before = build_cds_neck(toy_model(name).model.neck, projector=dict(type='SepConvProjector')).cds.projectors
    spread = [[float(p.std()) for p in each.parameters() if p.dim() == 4] for each in (own, before)]
    assert spread[0] == pytest.approx(spread[1], rel=0.2)


def test_a_learning_rate_of_the_backbone_is_not_that_of_its_taps() -> None:
    stock = toy_model()
    stock.optim_wrapper = dict(
        optimizer=dict(type='SGD', lr=1.0),
        paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1), 'neck': dict(lr_mult=0.5)}),
    )
    cfg = add_cds(stock)
    model = build(cfg)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).param_groups
    rate_of = {parameter: group['lr'] for group in groups for parameter in group['params']}
    rates = {name: rate_of[parameter] for name, parameter in model.named_parameters() if parameter in rate_of}
    assert {rate for name, rate in rates.items() if name.startswith('backbone.')} == {0.1}
    assert {rate for name, rate in rates.items() if name.startswith('neck.cds.')} == {1.0}
    assert {rate for name, rate in rates.items() if name.startswith('neck.fpn')} == {0.5}
    assert remove_cds(cfg).to_dict() == stock.to_dict()


@pytest.mark.parametrize('rule', [{'reference_points': dict(lr_mult=0.1)}, {'norm': dict(decay_mult=0.0)}])
def test_rates_that_do_not_concern_the_projectors_bring_no_rule(rule: dict[str, Any]) -> None:
    """A rule of its own would switch off norm_decay_mult and bias_decay_mult for them."""
    stock = toy_model()
    stock.optim_wrapper = dict(optimizer=dict(type='SGD', lr=1.0), paramwise_cfg=dict(custom_keys=rule))
    assert add_cds(stock).optim_wrapper.to_dict() == stock.optim_wrapper.to_dict()


def test_labels_that_are_places_in_a_caption() -> None:
    stock = toy_model()
    stock.train_dataloader = dict(dataset=dict(type='X', pipeline=[dict(type='mmdet.RandomSamplingNegPos')]))
    with pytest.raises(ValueError, match=r'^train_dataloader: RandomSamplingNegPos makes a label the place of a name'):
        add_cds(stock)
    cfg = add_cds(stock, loss=dict(positives='instance'))
    check_cds(cfg)
    cfg.model.neck.loss.positives = 'class'
    with pytest.raises(ValueError, match='RandomSamplingNegPos'):
        check_cds(cfg)
