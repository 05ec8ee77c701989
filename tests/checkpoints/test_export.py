"""The exported file is the stock model's, and is refused where it would not be."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from preloaded import Preloaded
from toys import build, toy_model

from mmcds import add_cds
from mmcds.checkpoints.export import check_export, export_checkpoint, plain


@pytest.fixture
def trained(tmp_path: Path) -> tuple[str, Path, Config]:
    """A CDS model's config file and checkpoint, with what training leaves in one."""
    stock = toy_model()
    cfg = add_cds(stock, queue_length=8)
    cfg.dump(tmp_path / 'config.py')
    model = build(cfg)
    meta = {'dataset_meta': {'classes': ('a', 'b')}, 'epoch': 3, 'cfg': 'long', 'hook_msgs': {'x': torch.ones(1)}}
    content = {'meta': meta, 'state_dict': model.state_dict(), 'optimizer': {'state': {}}, 'message_hub': {}}
    torch.save(content, tmp_path / 'epoch_3.pth')
    return str(tmp_path / 'config.py'), tmp_path / 'epoch_3.pth', stock


def test_strict_load_and_equal_predictions(trained: tuple[str, Path, Config], tmp_path: Path) -> None:
    config, source, stock_cfg = trained
    kept, dropped = export_checkpoint(source, tmp_path / 'out.pth')
    content = torch.load(tmp_path / 'out.pth', weights_only=True)
    stock = build(stock_cfg)
    assert kept == len(stock.state_dict())
    assert dropped > 0
    stock.load_state_dict(content['state_dict'], strict=True)
    assert set(content) == {'meta', 'state_dict'}
    assert content['meta'] == {'dataset_meta': {'classes': ['a', 'b']}, 'epoch': 3}
    assert 'equal to the last bit' in check_export(config, source, tmp_path / 'out.pth', images=2)


def test_a_changed_weight_is_found(trained: tuple[str, Path, Config], tmp_path: Path) -> None:
    config, source, _ = trained
    export_checkpoint(source, tmp_path / 'out.pth')
    content = torch.load(tmp_path / 'out.pth', weights_only=True)
    content['state_dict']['backbone.conv1.weight'][0, 0, 0, 0] += 1e-3
    torch.save(content, tmp_path / 'out.pth')
    with pytest.raises(ValueError, match='does not give what the CDS model gives'):
        check_export(config, source, tmp_path / 'out.pth', images=1)


def test_a_missing_weight_is_found(trained: tuple[str, Path, Config], tmp_path: Path) -> None:
    config, source, _ = trained
    export_checkpoint(source, tmp_path / 'out.pth')
    content = torch.load(tmp_path / 'out.pth', weights_only=True)
    del content['state_dict']['backbone.conv1.weight']
    torch.save(content, tmp_path / 'out.pth')
    with pytest.raises(ValueError, match=r'does not fit the stock model.*conv1\.weight'):
        check_export(config, source, tmp_path / 'out.pth', images=1)


def test_backbone(trained: tuple[str, Path, Config], tmp_path: Path) -> None:
    """It is what another detector's init_cfg loads."""
    config, source, stock_cfg = trained
    export_checkpoint(source, tmp_path / 'backbone.pth', backbone_only=True)
    assert 'equal to the last bit' in check_export(
        config, source, tmp_path / 'backbone.pth', backbone_only=True, images=1
    )
    stock_cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'backbone.pth'))
    other = build(stock_cfg, seed=5)
    expected = torch.load(source, weights_only=False)['state_dict']
    for name, value in other.backbone.state_dict().items():
        assert torch.equal(value, expected[f'backbone.{name}']), name


def test_no_backbone(tmp_path: Path) -> None:
    torch.save({'fc.weight': torch.ones(1)}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r"has no 'backbone\.\*'"):
        export_checkpoint(tmp_path / 'a.pth', tmp_path / 'b.pth', backbone_only=True)
    assert not list(tmp_path.glob('b.pth*'))


def test_plain() -> None:
    assert plain({'a': (1, {2.0}), 'b': torch.ones(2), 'c': Path('x')}) == {'a': [1, [2.0]], 'b': [1.0, 1.0], 'c': 'x'}


def test_what_was_overridden_in_training_is_overridden_again(trained: tuple[str, Path, Config], tmp_path: Path) -> None:
    config, source, _ = trained
    options = {'model.rpn_head.feat_channels': 24}
    wide = Config.fromfile(config)
    wide.merge_from_dict(options)
    torch.save({'state_dict': build(wide).state_dict()}, source)
    export_checkpoint(source, tmp_path / 'out.pth')
    with pytest.raises(ValueError, match=r'does not fit .*config\.py: .* overridden then as --cfg-options$'):
        check_export(config, source, tmp_path / 'out.pth', images=1)
    assert 'equal to the last bit' in check_export(config, source, tmp_path / 'out.pth', images=1, options=options)


def test_a_stock_config_of_a_cds_checkpoint_is_told_the_flag(
    trained: tuple[str, Path, Config], preloaded: Preloaded, tmp_path: Path
) -> None:
    config, source, stock = trained
    stock.dump(tmp_path / 'stock.py')
    command = ['tools/export.py', str(source), '--out', str(tmp_path / 'out.pth'), '--config']
    done = preloaded.run(*command, str(tmp_path / 'stock.py'))
    assert done.returncode == 2
    assert done.stderr.endswith('stock.py has none; add --cds\n')
    assert not (tmp_path / 'out.pth').exists()
    assert preloaded.run(*command, config).returncode == 0
