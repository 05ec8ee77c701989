"""A checkpoint is resumed by the model that was trained, and by no other."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from toys import build, toy_config, toy_model

from mmcds import add_cds
from mmcds.engine.weights import check_resumed

DSN: dict[str, Any] = dict(
    type='mmcds.DSNNeck', taps=['backbone.3'], num_classes=4, channels=dict(backbone=[16, 32, 64, 128])
)
EMA = dict(type='EMAHook')


def model_of(**cds: Any) -> Any:
    """A toy RetinaNet with one tap, or the stock one."""
    return build(add_cds(toy_model('retinanet'), **{'taps': ['backbone.3'], **cds}))


def dsn() -> Any:
    cfg = toy_model('retinanet')
    cfg.model.neck = dict(DSN, neck=cfg.model.neck)
    return build(cfg)


def saved(model: Any, **parts: Any) -> dict[str, Any]:
    whole = {'state_dict': model.state_dict(), 'meta': {'epoch': 1, 'iter': 3}, 'message_hub': {}}
    return {key: value for key, value in {**whole, **parts}.items() if value is not None}


@pytest.mark.parametrize(
    ('trained', 'now', 'said'),
    [
        (
            lambda: build(toy_model('retinanet')),
            model_of,
            r'trained without CDS, .*; load_from=a\.pth without --resume',
        ),
        (lambda: build(toy_model('retinanet')), dsn, r'trained without DSN, .*load_from=a\.pth'),
        (model_of, lambda: build(toy_model('retinanet')), r'trained with CDS, but the config has none, .*--cds'),
        (dsn, lambda: build(toy_model('retinanet')), r'trained with DSN, but the config has none'),
        (dsn, model_of, r'trained with kind=DSN \(now CDS\), so'),
        (model_of, dsn, r'trained with kind=CDS \(now DSN\), so'),
        (
            lambda: model_of(queue_length=8),
            lambda: model_of(queue_length=4),
            r'trained with queue_length=8 \(now 4\), so',
        ),
        (lambda: model_of(queue_length=8), model_of, r'trained with queue_length=8 \(now 0\), so'),
        (
            lambda: model_of(queue_length=8, projector=dict(type='IdentityProjector')),
            lambda: model_of(queue_length=4, projector=dict(type='IdentityProjector')),
            r'trained with queue_length=8 \(now 4\), so',
        ),
        (
            model_of,
            lambda: model_of(taps=['backbone.2']),
            r"trained with taps=\('backbone3',\) \(now \('backbone2',\)\), so",
        ),
        (
            model_of,
            lambda: model_of(projector=dict(type='MLPProjector', out_channels=16)),
            r'trained with neck\.cds\.projectors\.backbone3\..*weight of shape .* \(now .*\) and',
        ),
        (
            lambda: model_of(taps=['backbone.2']),
            lambda: model_of(taps=['backbone.2'], projector=dict(type='SepConvProjector')),
            r'trained with neck\.cds\.projectors\.backbone2\..* and \d+ more \(now neck\.cds\.projectors\.backbone2\.',
        ),
        (
            lambda: build(toy_model('faster_rcnn')),
            lambda: build(toy_model('retinanet')),
            r'trained with .* \(now neck\.fpn_convs\.4\.conv\.weight and 9 more\)',
        ),
    ],
)
def test_what_differs_is_named(trained: Any, now: Any, said: str) -> None:
    with pytest.raises(ValueError, match=rf'^a\.pth was {said}') as error:
        check_resumed(now(), saved(trained()), 'a.pth')
    assert '\n' not in str(error.value)
    assert len(str(error.value)) < 500


def test_a_weight_that_the_checkpoint_lacks_is_named() -> None:
    model = model_of(queue_length=4)
    weights = {key: value for key, value in model.state_dict().items() if not key.endswith('.cursor')}
    with pytest.raises(ValueError, match=r'^a\.pth was trained with no neck\.cds\.queues\.backbone3\.cursor, so'):
        check_resumed(model, saved(model, state_dict=weights), 'a.pth')


def test_another_number_of_classes_is_named() -> None:
    cfg = toy_model('retinanet')
    cfg.model.bbox_head.num_classes = 7
    with pytest.raises(ValueError, match=r'trained with bbox_head\.retina_cls\.weight of shape \(36, .*\(now \(63, '):
        check_resumed(build(cfg), saved(build(toy_model('retinanet'))), 'a.pth')


@pytest.mark.parametrize('parts', [{'message_hub': None}, {'meta': {}}, {'meta': None}])
def test_weights_alone_are_no_run(parts: dict) -> None:
    model = build(toy_model('retinanet'))
    with pytest.raises(ValueError, match=r'^a\.pth holds weights only, .*; load_from=a\.pth without --resume'):
        check_resumed(model, saved(model, **parts), 'a.pth')


def test_its_own_checkpoint_is_resumed_also_one_of_ddp_and_one_without_statistics() -> None:
    for model in (model_of(queue_length=4), dsn(), build(toy_model())):
        content = saved(model)
        check_resumed(model, content, 'a.pth')
        weights = {f'module.{k}': v for k, v in content['state_dict'].items() if 'num_batches' not in k}
        check_resumed(model, saved(model, state_dict=weights), 'a.pth')


def run(cfg: Config, name: str, work: Path, **changes: Any) -> Runner:
    cfg = deepcopy(cfg)
    cfg.work_dir, cfg.experiment_name = str(work / name), name
    cfg.merge_from_dict(changes)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.mark.slow
def test_in_a_user_s_own_train_py(toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing but the config: a CDSHook where there is CDS, our hook for the stock config, and an EMA in all."""
    stock = toy_config(toy_data, tmp_path, 'retinanet')
    stock.train_cfg.max_epochs, stock.custom_hooks = 1, [EMA]
    cds = add_cds(stock, taps=['backbone.3'], queue_length=8)
    run(stock, 'stock', tmp_path)
    run(cds, 'cds', tmp_path)
    stock_path, cds_path = (str(tmp_path / name / 'epoch_1.pth') for name in ('stock', 'cds'))

    with pytest.raises(ValueError, match=rf'^{stock_path} was trained without CDS'):
        run(cds, 'a', tmp_path, resume=True, load_from=stock_path)
    other = deepcopy(cds)
    other.model.neck.queue_length = 4
    with pytest.raises(ValueError, match=r'trained with queue_length=8 \(now 4\)'):
        run(other, 'b', tmp_path, resume=True, load_from=cds_path)
    checked = deepcopy(stock)
    checked.custom_hooks = [EMA, dict(type='mmcds.ResumeCheckHook')]
    with pytest.raises(ValueError, match=rf'^{cds_path} was trained with CDS, but the config has none'):
        run(checked, 'c', tmp_path, resume=True, load_from=cds_path)

    resumed = run(cds, 'cds', tmp_path, resume=True, **{'train_cfg.max_epochs': 2})
    assert resumed.iter == 6
    # From a stock run's weights, as the message says; with a hook that is there in vain.
    cds.custom_hooks = [*cds.custom_hooks, dict(type='mmcds.ResumeCheckHook')]
    loaded = run(cds, 'loaded', tmp_path, load_from=stock_path, **{'train_cfg.max_epochs': 0})
    weights = torch.load(stock_path, weights_only=False)['state_dict']
    own = loaded.model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in weights.items())
