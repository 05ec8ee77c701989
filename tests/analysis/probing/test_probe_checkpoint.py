"""From config and checkpoint to numbers, for a detector and a classifier."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope, init_default_scope
from toys import build

from mmcds import add_cds, remove_cds
from mmcds.analysis.probing.probe_checkpoint import probe_checkpoint
from mmcds.analysis.probing.probe_data import ProbeData, evaluation_pipeline, with_pipeline
from mmcds.checkpoints.trained_model import load_weights


@pytest.fixture
def detector(stock_config: Config) -> Config:
    """The toy Faster R-CNN with CDS, tested on what it trains on at twice the size."""
    cfg = stock_config
    test = cfg.train_dataloader.to_dict()
    test['batch_size'] = 4
    test['dataset']['pipeline'] = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(128, 128), keep_ratio=True),
        dict(type='PackDetInputs'),
    ]
    test['dataset']['test_mode'] = True
    cfg.test_dataloader = test
    return add_cds(cfg, taps=['backbone.1', 'backbone.3', 'neck.0'])


def test_a_detector(detector: Config, tmp_path: Path) -> None:
    model = build(detector)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'a.pth')
    probes, about = probe_checkpoint(detector, tmp_path / 'a.pth', k=3)
    assert [(each.tap, each.kind) for each in probes] == [
        (tap, kind) for tap in ('backbone.1', 'backbone.3', 'neck.0') for kind in ('feature', 'embedding')
    ]
    assert [each.width for each in probes] == [32, 128, 128, 128, 16, 128]
    boxes = sum(1 + i % 3 for i in range(6))
    assert about['train'] == about['test'] == boxes
    # Boxes of plain colours, asked again for what was learned: the colours tell the classes apart.
    assert probes[0].linear == 100
    stock, _ = probe_checkpoint(remove_cds(detector), tmp_path / 'a.pth', ['backbone.3'], k=3, max_train=4, max_test=2)
    assert [(each.tap, each.kind) for each in stock] == [('backbone.3', 'feature')]


def test_which_weights_are_needed(detector: Config, tmp_path: Path) -> None:
    model = build(detector)
    weights = model.state_dict()
    for left_out, expected in (
        ('nothing', ['backbone.1', 'backbone.3', 'neck.0']),
        ('neck.cds.projectors.backbone3.layers.0', ['backbone.1', 'neck.0']),
        ('neck.cds.', []),
    ):
        torch.save({key: v for key, v in weights.items() if not key.startswith(left_out)}, tmp_path / 'a.pth')
        assert load_weights(model, tmp_path / 'a.pth') == expected
    del weights['backbone.conv1.weight']
    torch.save(weights, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r"does not fit the config: 1 keys such as \['backbone\.conv1\.weight'\]"):
        load_weights(model, tmp_path / 'a.pth')
    weights['backbone.conv1.weight'] = torch.ones(1)
    torch.save(weights, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'does not fit the config: size mismatch for backbone\.conv1\.weight'):
        load_weights(model, tmp_path / 'a.pth')


def test_images_are_probed_once_however_a_wrapper_is_written() -> None:
    from mmengine.dataset import RepeatDataset

    inner = dict(type='CocoDataset', ann_file='a.json', pipeline=[])
    for kind in ('RepeatDataset', 'mmengine.RepeatDataset', RepeatDataset, 'mmcds.LabelledFraction'):
        assert with_pipeline(dict(type=kind, dataset=inner), [dict(type='X')]) == {
            **inner,
            'pipeline': [dict(type='X')],
        }


def test_a_package_that_cannot_be_probed(detector: Config) -> None:
    detector.default_scope = 'mmseg'
    with pytest.raises(ValueError, match=r"^default_scope='mmseg' is not known; .*other packages cannot be probed$"):
        ProbeData(detector, 'test')


def test_weights_of_a_detector_inside_a_model(detector: Config, tmp_path: Path) -> None:
    """As of a SoftTeacher, whose weights begin with ``student.``."""
    model = torch.nn.Module()
    model.student = build(detector)
    weights = model.state_dict()
    torch.save(weights, tmp_path / 'a.pth')
    assert load_weights(model, tmp_path / 'a.pth') == ['backbone.1', 'backbone.3', 'neck.0']
    torch.save({key: v for key, v in weights.items() if 'neck.cds.' not in key}, tmp_path / 'a.pth')
    assert load_weights(model, tmp_path / 'a.pth') == []


def test_a_classifier_by_the_command(
    classifier: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    import runpy

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        torch.manual_seed(0)
        model: Any = MODELS.build(add_cds(classifier).model)
    torch.save(model.state_dict(), tmp_path / 'a.pth')
    classifier.dump(tmp_path / 'config.py')
    out = tmp_path / 'new' / 'probe.json'
    arguments = [str(tmp_path / 'config.py'), str(tmp_path / 'a.pth'), '--cds', '--neighbours', '3', '--out', str(out)]
    monkeypatch.setattr(sys, 'argv', ['probe.py', *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(Path(__file__).parents[3] / 'tools/analysis/probe.py'), run_name='__main__')
    printed = capsys.readouterr().out
    assert ended.value.code == 0
    content = json.loads(out.read_text())
    assert (content['train'], content['test'], content['classes'], content['majority']) == (12, 12, 2, 50)
    names = [(each['tap'], each['kind']) for each in content['probes']]
    # The last stage's projector is the identity: its embedding is the feature.
    expected = [(f'backbone.{i}', kind) for i in range(4) for kind in ('feature', 'embedding')][:-1]
    assert names == expected
    assert content['probes'][0]['linear'] == 100
    assert '| backbone.3 | feature' in printed


def test_data(classifier: Config) -> None:
    init_default_scope('mmpretrain')
    data = ProbeData(classifier, 'train', 4)
    assert data.indices == [0, 4, 7, 11]
    assert len(data) == 1
    (batch, objects) = next(iter(data))
    assert objects is None
    # Whole images: the test pipeline does not crop.
    assert [tuple(image.shape) for image in batch['inputs']] == [(3, 32, 32)] * 4
    assert [int(each.gt_label) for each in batch['data_samples']] == [0, 0, 1, 1]
    assert len(ProbeData(classifier, 'test')) == 3
    with pytest.raises(ValueError, match='max_test=-1 is out of range'):
        ProbeData(classifier, 'test', -1)
    classifier.pop('train_dataloader')
    with pytest.raises(ValueError, match='the config has no train_dataloader'):
        ProbeData(classifier, 'train')
    classifier.pop('test_dataloader')
    with pytest.raises(ValueError, match='neither test_dataloader nor val_dataloader'):
        evaluation_pipeline(classifier)


def test_wrappers(classifier: Config) -> None:
    base = classifier.train_dataloader.dataset.to_dict()
    pipeline = [dict(type='PackInputs')]
    plain = {**base, 'pipeline': pipeline}
    assert with_pipeline(base, pipeline) == plain
    assert with_pipeline(dict(type='mmengine.RepeatDataset', times=3, dataset=base), pipeline) == plain
    mixed = dict(type='MultiImageMixDataset', pipeline=[dict(type='Mosaic')], dataset=base)
    assert with_pipeline(mixed, pipeline) == plain
    fold = dict(type='KFoldDataset', fold=1, num_splits=3, dataset=base)
    assert with_pipeline(fold, pipeline) == {**fold, 'dataset': plain}
    both = dict(type='ConcatDataset', datasets=[base, fold])
    changed = with_pipeline(both, evaluation_pipeline(classifier))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        assert len(DATASETS.build(changed)) == 12 + 8
    assert base['pipeline'][1]['type'] == 'RandomCrop'
