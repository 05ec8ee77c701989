"""Names there and back, bit for bit, and what is refused."""

import importlib.util
import sys
from argparse import Namespace
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from released import ReleasedNet
from torch import Tensor

from mmcds.paper.convert import convert_checkpoint, convert_state_dict, has_small_stem, load_weights

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=[(18, True), (50, False)], ids=['R18-cifar', 'R50-imagenet'])
def weights(request: pytest.FixtureRequest) -> dict[str, Tensor]:
    depth, cifar = request.param
    return ReleasedNet(depth, cifar, base=4).state_dict()


@pytest.fixture
def small() -> dict[str, Tensor]:
    return ReleasedNet(18, True, base=4).state_dict()


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[key], b[key]) and a[key].dtype == b[key].dtype for key in a)


def test_names() -> None:
    """Some of each kind, spelled out."""
    cds = convert_state_dict(ReleasedNet(18, True, base=4).state_dict(), 'cds')
    for name in (
        'backbone.conv1.weight',
        'backbone.bn1.running_var',
        'backbone.layer2.0.downsample.1.num_batches_tracked',
        'neck.cds.projectors.backbone0.convs.2.op.5.weight',
        'neck.cds.projectors.backbone2.convs.0.op.6.running_mean',
        'head.fc.bias',
    ):
        assert name in cds
    assert not [name for name in cds if not name.startswith(('backbone.', 'neck.cds.projectors.', 'head.fc.'))]


@pytest.mark.parametrize('wrap', [None, 'state_dict', 'model', 'net'])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_there_and_back(weights: dict[str, Tensor], wrap: str | None, prefix: str, tmp_path: Path) -> None:
    content: Any = {prefix + key: value for key, value in weights.items()}
    torch.save({wrap: content, 'epoch': 3, 'acc': 0.5} if wrap else content, tmp_path / 'in.pth')
    assert convert_checkpoint(tmp_path / 'in.pth', tmp_path / 'cds.pth', 'cds') == (len(weights), 0)
    assert convert_checkpoint(tmp_path / 'cds.pth', tmp_path / 'out.pth', 'released') == (len(weights), 0)
    assert equal(torch.load(tmp_path / 'out.pth', weights_only=True), dict(weights))


def test_old_names_of_shortcuts(small: dict[str, Tensor]) -> None:
    renamed = {key.replace('downsample', 'shortcut'): value for key, value in small.items()}
    assert renamed.keys() != small.keys()
    assert equal(convert_state_dict(renamed, 'released'), dict(small))


def test_without_projectors(small: dict[str, Tensor]) -> None:
    """The same from either form; queues of a training run are left behind."""
    cds = {**convert_state_dict(small, 'cds'), 'neck.cds.queues.backbone0.rows': torch.ones(1)}
    for to, parts in (('mmpretrain', ('backbone.', 'head.fc.')), ('backbone', ('backbone.',))):
        prefix = 'backbone.' if to == 'backbone' else ''
        expected = {key.removeprefix(prefix): value for key, value in cds.items() if key.startswith(parts)}
        assert len(expected) > 100
        assert equal(convert_state_dict(small, to), expected)
        assert equal(convert_state_dict(cds, to), expected)
    assert equal(convert_state_dict(cds, 'released'), dict(small))
    # A baseline has no heads, and what torch wrote before 0.4.1 no counts of batches.
    bare = {key: value for key, value in small.items() if not key.startswith('auxiliary') and 'num_batches' not in key}
    assert len(convert_state_dict(bare, 'mmpretrain')) == len(bare)


def test_a_detector_s_backbone(tmp_path: Path) -> None:
    """mmdet's ResNet takes every weight, by its init_cfg."""
    mmdet = pytest.importorskip('mmdet.models')
    theirs = ReleasedNet(50, False)
    torch.save(theirs.state_dict(), tmp_path / 'in.pth')
    convert_checkpoint(tmp_path / 'in.pth', tmp_path / 'backbone.pth', 'backbone')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'backbone.pth'))
    backbone = mmdet.ResNet(50, init_cfg=init_cfg)
    backbone.init_weights()
    expected = theirs.state_dict()
    assert len(backbone.state_dict()) == 318
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_stems() -> None:
    assert has_small_stem({'backbone.conv1.weight': torch.ones(4, 3, 3, 3)})
    assert not has_small_stem({'conv1.weight': torch.ones(4, 3, 7, 7)})
    assert not has_small_stem({})


def without(*parts: str) -> Callable[[dict], dict]:
    return lambda weights: {key: v for key, v in weights.items() if not any(part in key for part in parts)}


@pytest.mark.parametrize(
    ('change', 'to', 'message'),
    [
        (lambda w: {**w, 'head.extra': w['fc.bias']}, 'cds', r"keys 'head\.extra' are no names.*rename or remove"),
        (lambda w: {**w, 'layer1.0.conv9.weight': w['fc.bias']}, 'backbone', r"'layer1\.0\.conv9\.weight' are no"),
        (lambda w: {**w, 'auxiliary1.3.op.0.weight': w['fc.bias']}, 'cds', r"'auxiliary1\.3\.op\.0\.weight' are no"),
        (without('layer3.0.bn2'), 'backbone', r"'layer3\.0\.bn2\.bias'.*and 1 more are missing; take a checkpoint"),
        (without('layer2.0.'), 'cds', r"'layer2\.0\.bn1\.bias'.* are missing"),
        (without('layer4.'), 'cds', r"'layer4\.0\.bn1\.bias'.* are missing"),
        (without('auxiliary'), 'cds', 'trained without contrastive heads: write it with --to mmpretrain'),
        (without('auxiliary2.1.op.5'), 'released', r"'auxiliary2\.1\.op\.5\.weight' are missing"),
        (without('fc.'), 'mmpretrain', 'it has no classifier: write it with --to backbone'),
    ],
)
def test_keys_that_do_not_fit(small: dict, change: Callable[[dict], dict], to: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert_state_dict(change(small), to)


def test_other_projectors(small: dict[str, Tensor]) -> None:
    cds = convert_state_dict(small, 'mmpretrain')
    cds['neck.cds.projectors.backbone0.layers.0.weight'] = torch.ones(1)
    with pytest.raises(ValueError, match=r'no SepConvs.*--to mmpretrain'):
        convert_state_dict(cds, 'released')
    assert len(convert_state_dict(cds, 'mmpretrain')) == len(cds) - 1


def test_files_that_are_refused(small: dict[str, Tensor], tmp_path: Path) -> None:
    out = tmp_path / 'out.pth'
    with pytest.raises(FileNotFoundError, match='does not exist'):
        convert_checkpoint(tmp_path / 'none.pth', out, 'cds')
    with pytest.raises(ValueError, match=r"to='backbon' is not known; nearest: backbone"):
        convert_checkpoint(tmp_path / 'none.pth', out, 'backbon')
    torch.save({'epoch': 3, 'optimizer': {}}, tmp_path / 'rest.pth')
    with pytest.raises(ValueError, match=r'holds no state dict \(epoch, optimizer\)'):
        convert_checkpoint(tmp_path / 'rest.pth', out, 'cds')
    torch.save([1], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match=r'holds no state dict \(list\)'):
        convert_checkpoint(tmp_path / 'list.pth', out, 'cds')
    torch.save({'fc.bias': torch.ones(1)}, tmp_path / 'part.pth')
    with pytest.raises(ValueError, match=r"part\.pth': keys .* are missing"):
        convert_checkpoint(tmp_path / 'part.pth', out, 'cds')
    assert not list(tmp_path.glob('out.pth*'))


class Trap:
    """Runs code where an ordinary unpickler reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize('zipped', [True, False])
def test_only_tensors_are_read(small: dict[str, Tensor], tmp_path: Path, zipped: bool) -> None:
    """What a training script or MMEngine's Runner keeps beside the weights neither runs nor stands in the way."""
    trap = tmp_path / 'trap'
    history = HistoryBuffer([1.0], [1])
    others = {
        'args': Namespace(lr=0.1),
        'message_hub': {'log_scalars': {'loss': history}, 'queue': deque([np.float64(1)]), np.int64(1): {Path('a')}},
        'meta': ConfigDict(seed=np.int64(3), array=np.arange(3), dtype=torch.float16, device=torch.device('cpu')),
        'trap': Trap(trap),
    }
    path = tmp_path / 'in.pth'
    torch.save({'state_dict': small, **others}, path, _use_new_zipfile_serialization=zipped)
    assert equal(load_weights(path), dict(small))
    assert not trap.exists()
    torch.load(path, weights_only=False)
    assert trap.exists()


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.filterwarnings('ignore')
def test_a_pickled_model_is_refused(tmp_path: Path, zipped: bool) -> None:
    torch.save(ReleasedNet(18, True, base=4), tmp_path / 'model.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match='holds no state dict'):
        load_weights(tmp_path / 'model.pth')


def test_the_command(
    small: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    spec = importlib.util.spec_from_file_location('convert_tool', ROOT / 'tools' / 'convert.py')
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    torch.save(small, tmp_path / 'in.pth')
    out = tmp_path / 'new' / 'backbone.pth'
    monkeypatch.setattr(sys, 'argv', ['convert.py', str(tmp_path / 'in.pth'), '--to', 'backbone', '--out', str(out)])
    tool.main()
    printed = capsys.readouterr()
    count = len(load_weights(out))
    assert printed.out == f'{out}: {count} tensors written, {len(small) - count} left behind\n'
    assert '3x3 of CIFAR' in printed.err
    with pytest.raises(ValueError, match='exists; give another name, or --force'):
        tool.main()
