"""The exported file is the stock model's, and is refused where it would not be."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from preloaded import Preloaded
from toys import build, toy_model

from mmcds import add_cds
from mmcds.checkpoints.export import build_for_test, check_export, export_checkpoint, plain
from mmcds.config.load_config import load_config
from mmcds.paper.convert import convert_checkpoint


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


def test_a_file_that_does_not_fit_takes_the_place_of_no_other(
    trained: tuple[str, Path, Config], preloaded: Preloaded, tmp_path: Path
) -> None:
    config, source, _ = trained
    other = Config.fromfile(config)
    other.model.rpn_head.feat_channels = 24
    other.dump(tmp_path / 'other.py')
    out = tmp_path / 'out.pth'
    command = ['tools/export.py', str(source), '--out', str(out), '--config']
    for before in (None, b'good'):
        if before is not None:
            out.write_bytes(before)
        done = preloaded.run(*command, str(tmp_path / 'other.py'), '--force')
        assert done.returncode == 2
        assert 'does not fit' in done.stderr
        assert (out.read_bytes() if out.exists() else None) == before
        assert not list(tmp_path.glob('.out.pth*'))
    assert preloaded.run(*command, config, '--force').returncode == 0
    torch.load(out, weights_only=True)


def test_the_checkpoint_is_not_replaced(
    trained: tuple[str, Path, Config], preloaded: Preloaded, tmp_path: Path
) -> None:
    config, source, _ = trained
    content = source.read_bytes()
    link = tmp_path / 'last.onnx'
    link.symlink_to(source)
    for options, message in (
        (['--out', f'{tmp_path}/../{tmp_path.name}/epoch_3.pth'], r"error: --out='.*' is the checkpoint itself, "),
        (['--out', 'o.pth', '--config', config, '--onnx', str(link)], r"error: --onnx='.*' is the checkpoint itself, "),
        (['--out', 'o.onnx', '--config', config, '--onnx', 'o.onnx'], r"error: --onnx='o.onnx' is the file of --out, "),
    ):
        done = preloaded.run('tools/export.py', str(source), *options, '--force')
        assert done.returncode == 2
        assert re.fullmatch(message + r'which it would replace; give another name\n', done.stderr)
    for function in (export_checkpoint, lambda given, out: convert_checkpoint(given, out, to='cds')):
        with pytest.raises(ValueError, match=r"^target='.*epoch_3\.pth' is the checkpoint itself"):
            function(source, str(source))
    assert source.read_bytes() == content


@pytest.mark.parametrize('name', ['seg', 'grey', 'one size'])
def test_predictions_of_other_models_are_compared(name: str, tmp_path: Path) -> None:
    """Segmentors predict maps; some models take images of one channel, or of one size."""
    if name == 'seg':
        pytest.importorskip('mmseg')
        stock = load_config('configs/shapes/fcn_r18_shapes.py')
    else:
        stock = toy_model('retinanet')
    if name == 'grey':
        stock.model.backbone.in_channels = 1
        stock.model.data_preprocessor = dict(type='DetDataPreprocessor', mean=[120.0], std=[60.0])
    if name == 'one size':
        pytest.importorskip('mmpretrain')
        backbone = dict(
            type='BEiTViT',
            arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=16),
            img_size=64,
            out_type='featmap',
            out_indices=(0, 1),
            use_abs_pos_emb=False,
            use_rel_pos_bias=True,
        )
        stock = Config(dict(default_scope='mmpretrain', model=dict(type='ImageClassifier', backbone=backbone)))
        stock.model.neck = dict(type='GlobalAveragePooling')
        stock.model.head = dict(type='LinearClsHead', num_classes=3, in_channels=16)
        stock.model.data_preprocessor = dict(mean=[120.0] * 3, std=[60.0] * 3, num_classes=3)
    cfg = add_cds(stock)
    cfg.dump(tmp_path / 'config.py')
    model = build_for_test(cfg)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'a.pth')
    export_checkpoint(tmp_path / 'a.pth', tmp_path / 'out.pth')
    config = str(tmp_path / 'config.py')
    assert 'equal to the last bit' in check_export(config, tmp_path / 'a.pth', tmp_path / 'out.pth', images=1)
    content = torch.load(tmp_path / 'out.pth', weights_only=True)
    head = next(key for key in content['state_dict'] if 'head' in key and key.endswith('weight'))
    content['state_dict'][head] += 1
    torch.save(content, tmp_path / 'out.pth')
    with pytest.raises(ValueError, match='does not give what the CDS model gives'):
        check_export(config, tmp_path / 'a.pth', tmp_path / 'out.pth', images=1)
