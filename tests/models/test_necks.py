"""The stock neck with a supervision on it: CDSNeck, DSNNeck, and chains of necks."""

import inspect
import pickle
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import load_checkpoint, save_checkpoint
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from toys import build, toy_batch, toy_model

from mmcds import add_cds
from mmcds.apis import check_cds, has_cds, remove_cds
from mmcds.checkpoints.export import export_checkpoint
from mmcds.models import DeepSupervision, PassThroughNeck, build_cds_neck, find_supervision
from mmcds.models.necks import NeckChain

FPN = dict(type='FPN', in_channels=[8, 16], out_channels=4, num_outs=2)
BOTH = pytest.mark.parametrize('name', ['faster_rcnn', 'retinanet'])
#: Everything that hangs weights or buffers on the neck.
EVERYTHING: dict[str, Any] = dict(
    taps=['backbone.1', 'backbone.3', 'neck.0'], projector=dict(type='SepConvProjector', num_convs=1), queue_length=8
)


def pair(name: str, **cds: Any) -> tuple[Config, Config]:
    stock = toy_model(name)
    return stock, add_cds(stock, **cds)


@BOTH
def test_weights_keep_the_stock_s_names_and_load_both_ways(name: str, tmp_path: Path) -> None:
    stock_config, cds_config = pair(name, **EVERYTHING)
    stock, cds = build(stock_config, seed=1), build(cds_config, seed=2)
    names, cds_names = list(stock.state_dict()), list(cds.state_dict())
    assert [key for key in cds_names if not key.startswith('neck.cds.')] == names
    assert len([key for key in cds_names if key.startswith('neck.cds.')]) > 20
    assert {key: value.shape for key, value in stock.state_dict().items()} == {
        key: value.shape for key, value in cds.state_dict().items() if key in names
    }
    assert type(cds) is type(stock)
    assert type(cds.neck) is type(stock.neck)

    empty = build(stock_config, seed=3)
    result = empty.load_state_dict(cds.state_dict(), strict=False)
    assert result.missing_keys == []
    assert all(key.startswith('neck.cds.') for key in result.unexpected_keys)
    # And through files, with mmengine's loader.
    for source, target in ((cds, build(stock_config, seed=4)), (stock, build(cds_config, seed=4))):
        save_checkpoint({'state_dict': source.state_dict()}, str(tmp_path / 'weights.pth'))
        load_checkpoint(target, str(tmp_path / 'weights.pth'), map_location='cpu')
        for key in names:
            assert torch.equal(target.state_dict()[key], source.state_dict()[key]), key


@BOTH
def test_inference_is_the_stock_s_bit_for_bit_and_at_its_cost(name: str) -> None:
    from mmdet.testing import demo_mm_inputs

    stock_config, cds_config = pair(name, **EVERYTHING)
    stock = build(stock_config, seed=1)
    if name == 'retinanet':  # from nothing it finds nothing above its threshold
        stock.bbox_head.retina_cls.bias.data.fill_(-1.0)
    cds = build(cds_config, like=stock, seed=2)
    stock.eval()
    cds.eval()
    boxes = 0
    for seed in range(10):
        np.random.seed(seed)
        batch = demo_mm_inputs(1, [[3, 48 + 8 * (seed % 3), 64]], num_classes=4)
        outputs = []
        for model in (stock, cds):
            data = model.data_preprocessor(deepcopy(batch), False)
            with torch.no_grad(), FlopCounterMode(display=False) as flops:
                raw = model(**data, mode='tensor')
                found = model(**data, mode='predict')[0].pred_instances
            outputs.append((raw, found, flops.get_total_flops()))
        (raw, found, cost), (cds_raw, cds_found, cds_cost) = outputs
        assert cost == cds_cost > 0
        pairs = list(zip(*(torch.utils._pytree.tree_flatten(each)[0] for each in (raw, cds_raw)), strict=True))
        assert len(pairs) > 1
        assert all(torch.equal(a, b) for a, b in pairs)
        for field in ('bboxes', 'scores', 'labels'):
            assert torch.equal(found[field], cds_found[field])
        boxes += len(found)
    assert boxes > 10


def test_survives_copies_and_the_config_survives_files(mmdet_scope: None, tmp_path: Path) -> None:
    _, cfg = pair('faster_rcnn', **EVERYTHING)
    model = build(cfg)
    copied = deepcopy(model)
    assert find_supervision(copied) is not find_supervision(model)
    for key, value in model.state_dict().items():
        assert torch.equal(copied.state_dict()[key], value)
        assert copied.state_dict()[key].data_ptr() != value.data_ptr() or value.numel() == 0
    assert pickle.loads(pickle.dumps(cfg)).to_dict() == cfg.to_dict()
    cfg.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == cfg.to_dict()


def test_no_neck_one_neck_and_a_list_of_necks(mmdet_scope: None) -> None:
    channels = dict(backbone=[8, 16])
    assert isinstance(build_cds_neck(None, channels=channels), PassThroughNeck)
    one = build_cds_neck(FPN)
    assert type(one).__name__ == 'FPN'
    chain = build_cds_neck([FPN, dict(type='BFP', in_channels=4, num_levels=2, refine_level=1, refine_type='conv')])
    assert isinstance(chain, NeckChain)
    features = (torch.randn(1, 8, 8, 8), torch.randn(1, 16, 4, 4))
    expected = chain.get_submodule('1')(chain.get_submodule('0')(features))
    for found, value in zip(chain(features), expected, strict=True):
        assert torch.equal(found, value)
    assert {key.partition('.')[0] for key in chain.state_dict()} == {'0', '1', 'cds'}


def test_documented_defaults_are_the_defaults(mmdet_scope: None) -> None:
    """The first block of docs/configuration.md, which writes all of them out, builds what nothing given builds."""
    page = (Path(__file__).resolve().parents[2] / 'docs/configuration.md').read_text()
    block = page.split('```python')[1].split('```')[0].replace('{{_base_.model.neck}}', repr(FPN))
    written: dict[str, Any] = {}
    exec(block, written)
    arguments = written['model']['neck']
    del arguments['_delete_'], arguments['type']
    assert set(arguments) == set(inspect.signature(build_cds_neck).parameters)

    def facts(cds: Any) -> dict[str, Any]:
        parts = dict(projectors=str(cds.projectors), view=str(cds.view), sampler=vars(cds.sampler))
        loss = (cds.loss.temperature, cds.loss.positives, cds.loss.gather, cds.loss.min_anchors)
        flags = (cds.loss_weights, len(cds.queues), cds.stop_gradient, cds.concat, cds.weight)
        return dict(**parts, loss=loss, flags=flags, taps=cds.taps)

    assert facts(build_cds_neck(**arguments).cds) == facts(build_cds_neck(FPN).cds)


def test_a_part_without_a_type_changes_the_default_one(mmdet_scope: None) -> None:
    cds: Any = build_cds_neck(
        FPN,
        view=dict(cutout_prob=0.25),
        sampler=dict(background=16),
        projector=dict(num_layers=1),
        loss=dict(temperature=0.2),
    ).cds
    whole: Any = build_cds_neck(FPN, view=dict(type='PhotometricView', cutout_prob=0.25)).cds
    assert (cds.view.scale, cds.view.cutout.p) == (0.5, 0.25)
    assert (cds.sampler.background, cds.sampler.max_per_image) == (16, 64)
    assert (cds.loss.temperature, cds.loss.positives) == (0.2, 'class')
    linear = [module for module in cds.projectors.modules() if isinstance(module, nn.Linear)]
    assert len(linear) == len(cds.taps)
    # One with a type is that alone.
    assert whole.view.scale == 1.0


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(taps=['backbone.2']), r"^neck\.taps='backbone\.2' is not known; .*the backbone has 2 outputs$"),
        (dict(sampler=dict(type='Instance')), r"^neck\.sampler\.type='Instance' .*valid: InstanceSampler, Im"),
        (dict(projector=dict(type='MLP')), r"^neck\.projector\.type='MLP' .*valid: MLPProjector, Sep"),
        (dict(loss=dict(type='SupCon')), r"^neck\.loss\.type='SupCon' .*valid: ContrastiveLoss$"),
        (dict(view=dict(type='Photo')), r"^neck\.view\.type='Photo' .*valid: PhotometricView, Da"),
        (dict(view=dict(scal=1)), r"^neck\.view: argument='scal' .*nearest: scale"),
        (dict(view=dict(type='PhotometricView', scal=1)), r"^neck\.view: argument='scal' .*nearest: scale"),
        (dict(loss=dict(type='ContrastiveLoss', temperature=-1)), r'^loss\.temperature=-1 is out of range'),
        (
            dict(loss_weight=[0.1, 0.2, 0.3]),
            r"^neck\.loss_weight=\[0\.1, 0\.2, 0\.3\] has 3 numbers for the 2 taps \['backbone\.0', 'backbone\.1'\]$",
        ),
        (dict(loss_weight=-0.1), r'^neck\.loss_weight=-0\.1 is out of range; give a number in \[0, inf\)$'),
        (dict(loss_weight=float('inf')), r'^neck\.loss_weight=inf is out of range; give a number in \[0, inf\)$'),
        (dict(loss_weight=[0.1, 'a']), r"^neck\.loss_weight='a' is out of range"),
        (dict(queue_length=-1), r'^neck\.queue_length=-1 is out of range; give a whole number, 0 or more$'),
        (
            dict(concat=True, stop_gradient=True, view=dict(type='PhotometricView')),
            r'^neck\.concat=True .*set stop_gradient=False or concat=False$',
        ),
        (dict(distill=True), r'^neck\.distill=True is not a dict; give distill=dict\(\), with the arguments'),
        (dict(projector=False), r"^neck\.projector=False is not a config of a part; give dict\(type='MLPProjector'"),
        (dict(sampler=[]), r"^neck\.sampler=\[\] is not a config of a part; give dict\(type='InstanceSampler'"),
        (dict(view=False), r"^neck\.view=False is not a config of a part; give dict\(type='PhotometricView'"),
        (dict(loss=0), r"^neck\.loss=0 is not a config of a part; give dict\(type='ContrastiveLoss'"),
        (
            dict(sampler=dict(jitter_weighted=True)),
            r'^sampler\.jitter_weighted=True has no effect with jitter=0; set jitter=0\.2, or remove jitter_weighted$',
        ),
        (
            dict(sampler=dict(near_iou=(0.2, 0.3))),
            r'^sampler\.near_iou=\(0\.2, 0\.3\) has no effect with near=0; set near=2, or remove near_iou$',
        ),
        (
            dict(projector=dict(num_layers=1, hidden_channels=7)),
            r'^projector\.hidden_channels=7 has no effect with num_layers=1; set num_layers=2, or remove hidden_ch',
        ),
        (
            dict(distill=dict(distance_weight=0, logits_weight=0), view=dict(type='PhotometricView')),
            r'^distill\.distance_weight=0 and logits_weight=0 leave nothing to distil; set one of them above 0',
        ),
        (dict(concat='off'), r"^neck\.concat='off' is neither True nor False; give one of them$"),
        (dict(stop_gradient='no'), r"^neck\.stop_gradient='no' is neither True nor False"),
        (dict(recompute='never'), r"^neck\.recompute='never' is neither True nor False"),
        (dict(loss=dict(gather='no')), r"^loss\.gather='no' is neither True nor False"),
        (dict(sampler=dict(jitter=0.2, jitter_weighted=1)), r'^sampler\.jitter_weighted=1 is neither True nor False'),
        (
            dict(concat=True, view=dict(scale=0.75)),
            r'^neck\.view\.scale=0\.75 with concat=True: .*set concat=False, scale=0\.5 or scale=1\.0$',
        ),
    ],
)
def test_mistakes_are_named(arguments: dict[str, Any], message: str, mmdet_scope: None) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build_cds_neck(FPN, **arguments)
    assert '\n' not in str(caught.value)


def test_a_model_without_a_cds_neck_is_refused() -> None:
    model = nn.Module()
    with pytest.raises(ValueError, match=r'^model\.neck is NoneType, not a CDSNeck; wrap it: .*mmcds\.add_cds\(cfg\)'):
        find_supervision(model)
    model.neck = PassThroughNeck()
    with pytest.raises(ValueError, match=r'^model\.neck is PassThroughNeck, not a CDSNeck'):
        find_supervision(model)


def test_is_built_by_name_from_any_scope() -> None:
    from mmengine.registry import MODELS

    cfg = dict(type='mmcds.CDSNeck', channels=dict(backbone=[4]))
    for scope in ('mmengine', 'mmdet', 'mmpretrain'):
        with DefaultScope.overwrite_default_scope(scope):
            assert isinstance(MODELS.build(deepcopy(cfg)), PassThroughNeck)


HOOKS = [dict(type='mmcds.CDSHook'), dict(type='mmcds.EpochSeedHook')]


def with_dsn(cfg: Config, **arguments: Any) -> Config:
    cfg = Config(cfg.to_dict())
    cfg.model.neck = dict(type='mmcds.DSNNeck', neck=cfg.model.neck, num_classes=4, **arguments)
    cfg.custom_hooks = HOOKS
    return cfg


def test_a_dsn_neck_is_built_by_name_from_any_scope() -> None:
    for scope in ('mmengine', 'mmdet', 'mmpretrain'):
        with DefaultScope.overwrite_default_scope(scope):
            neck: Any = MODELS.build(dict(type='mmcds.DSNNeck', channels=dict(backbone=[4])))
        assert isinstance(neck, PassThroughNeck)
        assert isinstance(neck.cds, DeepSupervision)
        assert neck.cds.classifiers['backbone0'].out_features == 80


def test_removing_it_leaves_the_stock_config() -> None:
    stock = toy_model()
    cfg = with_dsn(stock)
    assert has_cds(cfg)
    check_cds(cfg)
    assert remove_cds(cfg).to_dict() == stock.to_dict()


def test_the_exported_checkpoint_is_the_stock_model_s(tmp_path: Path) -> None:
    stock_config = toy_model()
    dsn: Any = build(with_dsn(stock_config), seed=3)
    assert isinstance(find_supervision(dsn), DeepSupervision)
    torch.save({'state_dict': dsn.state_dict()}, tmp_path / 'dsn.pth')
    written, left = export_checkpoint(tmp_path / 'dsn.pth', tmp_path / 'stock.pth')
    # Two linear layers of the projector and the classifier, with their biases, at four taps.
    assert left == 4 * 3 * 2
    stock = build(stock_config, seed=4)
    assert written == len(stock.state_dict())
    stock.load_state_dict(torch.load(tmp_path / 'stock.pth', weights_only=True)['state_dict'], strict=True)
    assert type(dsn.neck) is type(stock.neck)
    found = []
    for model in (dsn.eval(), stock.eval()):
        with torch.no_grad():
            found.append([each.pred_instances.scores for each in model(**toy_batch(model), mode='predict')])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert sum(len(each) for each in found[0]) > 10


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(taps=['backbone.9']), r"^neck\.taps='backbone\.9' is not known; .*has 4 outputs$"),
        (dict(temperature=1), r"^mmcds\.DSNNeck: argument='temperature' is not known; .*valid: neck, num_classes"),
        (dict(view=dict(type='PhotometricView')), r"^mmcds\.DSNNeck: argument='view' is not known"),
        (dict(num_classes=0), r'^neck\.num_classes=0 is out of range; give a whole number, 1 or more$'),
        (dict(loss_weight=[1.0]), r'^neck\.loss_weight=\[1\.0\] has 1 numbers for the 4 taps'),
        (dict(projector=dict(type='MLP')), r"^neck\.projector\.type='MLP' is not known"),
    ],
)
def test_mistakes_are_named_before_anything_is_built(arguments: dict[str, Any], message: str) -> None:
    cfg = with_dsn(toy_model())
    cfg.model.neck.update(arguments)
    with pytest.raises(ValueError, match=message):
        check_cds(cfg)


@pytest.mark.parametrize('change', [add_cds, with_dsn])
def test_the_stock_weights_are_those_of_the_same_seed_without_it(change: Callable[[Config], Config]) -> None:
    """So a comparison with the stock model is paired by its seed."""
    cfg = toy_model('retinanet')
    generator = torch.random.get_rng_state()
    changed = change(cfg)
    assert torch.equal(torch.random.get_rng_state(), generator)
    stock, ours = build(cfg, seed=3).state_dict(), build(changed, seed=3).state_dict()
    assert all(torch.equal(value, ours[key]) for key, value in stock.items())
    # The seed decides ours, too.
    again, other = build(changed, seed=3).state_dict(), build(changed, seed=4).state_dict()
    extra = [key for key in ours if key.startswith('neck.cds.projectors') and key.endswith('weight')]
    assert extra
    assert all(torch.equal(ours[key], again[key]) and not torch.equal(ours[key], other[key]) for key in extra)


def test_a_hook_is_needed() -> None:
    cfg = with_dsn(toy_model())
    cfg.custom_hooks = []
    with pytest.raises(ValueError, match=r"^custom_hooks has 0 CDSHooks .*dict\(type='mmcds\.CDSHook'\)"):
        check_cds(cfg)


def test_pass_through_gives_what_it_gets() -> None:
    inputs = (torch.zeros(1), torch.ones(2))
    assert PassThroughNeck()(inputs) is inputs
    assert PassThroughNeck().state_dict() == {}


def test_chain_is_a_sequential_that_does_not_call_what_hangs_on_it() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 1), nn.Conv2d(3, 4, 1)]
    stock, chain = nn.Sequential(*layers), NeckChain(layers)
    assert list(chain.state_dict()) == list(stock.state_dict())
    x = torch.randn(1, 2, 3, 3)
    expected = stock(x)
    chain.add_module('cds', nn.Conv2d(4, 9, 1))
    assert torch.equal(chain(x), expected)
    assert {name.partition('.')[0] for name in chain.state_dict()} == {'0', '1', 'cds'}
