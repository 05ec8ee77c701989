"""A model with auxiliary classifiers against the stock model: names, the way back, mistakes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from toys import build, toy_batch, toy_model

from mmcds.apis import check_cds, has_cds, remove_cds
from mmcds.checkpoints.export import export_checkpoint
from mmcds.models import DeepSupervision, PassThroughNeck, find_supervision

HOOKS = [dict(type='mmcds.CDSHook'), dict(type='mmcds.EpochSeedHook')]


def with_dsn(cfg: Config, **arguments: Any) -> Config:
    cfg = Config(cfg.to_dict())
    cfg.model.neck = dict(type='mmcds.DSNNeck', neck=cfg.model.neck, num_classes=4, **arguments)
    cfg.custom_hooks = HOOKS
    return cfg


def test_is_built_by_name_from_any_scope() -> None:
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


def test_a_hook_is_needed() -> None:
    cfg = with_dsn(toy_model())
    cfg.custom_hooks = []
    with pytest.raises(ValueError, match=r"^custom_hooks has 0 CDSHooks .*dict\(type='mmcds\.CDSHook'\)"):
        check_cds(cfg)
