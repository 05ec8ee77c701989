"""Configs from files and packages, and data sets that move."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmcds.config.from_options import config_from_options
from mmcds.config.load_config import load_config, map_strings, package_configs, set_data_root


def test_a_package_s_config_is_the_file_it_ships() -> None:
    import mmdet

    path = Path(mmdet.__file__).parent / '.mim/configs/retinanet/retinanet_r50_fpn_1x_coco.py'
    cfg = load_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    assert cfg.to_dict() == Config.fromfile(path).to_dict()
    assert package_configs('mmdet') == path.parents[1]
    assert load_config(str(path)).to_dict() == cfg.to_dict()


@pytest.mark.parametrize(
    ('path', 'error', 'message'),
    [
        (
            'mmdet::retinanet/retinanet_r50_fpn_1x.py',
            FileNotFoundError,
            r'^config=.* is not among those mmdet ships; nearest: .*retinanet_r50_fpn_1x_coco\.py.*; remedy: ',
        ),
        ('nomm::a.py', ValueError, r"^config='nomm::\.\.\.': the package 'nomm' is not installed or ships no configs$"),
        ('torch::a.py', ValueError, r"the package 'torch' is not installed or ships no configs"),
        ('../x::a.py', ValueError, r"the package '\.\./x' is not installed"),
    ],
)
def test_a_wrong_package_or_name_is_named(path: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_config(path)


def test_a_missing_file_is_named_with_its_neighbours(tmp_path: Path) -> None:
    for name in ('first.py', 'other.py', 'zzz.py'):
        (tmp_path / name).write_text('a = 1')
    assert load_config(str(tmp_path / 'first.py')).a == 1
    with pytest.raises(FileNotFoundError) as caught:
        load_config(str(tmp_path / 'frist.py'))
    assert str(caught.value).startswith(f'config={str(tmp_path / "frist.py")!r} is not known; ')
    assert str(tmp_path / 'first.py') in str(caught.value)
    assert str(caught.value).endswith('; give the path of a config file')
    with pytest.raises(FileNotFoundError, match='valid: none; give the path of a config file'):
        load_config(str(tmp_path / 'nowhere' / 'a.py'))


def test_map_strings_keeps_the_rest() -> None:
    value: Any = {'a': ['x', ('y', 1)], 'b': {'c': 'z', 'd': None}}
    assert map_strings(value, str.upper) == {'a': ['X', ('Y', 1)], 'b': {'c': 'Z', 'd': None}}


@pytest.mark.parametrize('new', ['/other/place', '/other/place/'])
def test_data_root_moves_everywhere(new: str) -> None:
    cfg = Config(
        dict(
            data_root='data/coco/',
            work_dir='data/coco/work',
            train=dict(dataset=dict(data_root='data/coco/', ann_file='annotations/a.json')),
            val=[
                dict(ann_file='data/coco/annotations/b.json'),
                dict(path=('data/coco', 'data/coconut/x', 'x/data/coco/y')),
            ],
        )
    )
    set_data_root(cfg, new)
    assert cfg.data_root == '/other/place/'
    assert cfg.work_dir == 'data/coco/work'
    assert cfg.train.dataset.to_dict() == dict(data_root='/other/place/', ann_file='annotations/a.json')
    assert cfg.val[0].ann_file == '/other/place/annotations/b.json'
    assert tuple(cfg.val[1].path) == ('/other/place/', 'data/coconut/x', 'x/data/coco/y')


@pytest.mark.parametrize('content', [{}, dict(data_root=None), dict(data_root='')])
def test_a_config_without_data_root_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError,
        match=r'^data_root=/new: data_root is not a variable of this config and no data set of it has a data_root; set',
    ):
        set_data_root(Config(content), '/new')


LAZY_BASE = """
from mmdet.datasets import CocoDataset
from mmdet.evaluation import CocoMetric
root = 'data/coco/'
train_dataloader = dict(dataset=dict(type=CocoDataset, data_root=root, ann_file='annotations/train.json'))
val_dataloader = dict(dataset=dict(type=CocoDataset, data_root=root, ann_file='annotations/val.json'))
val_evaluator = dict(type=CocoMetric, ann_file=root + 'annotations/val.json')
"""


@pytest.mark.parametrize('names', ['train_dataloader, val_dataloader, val_evaluator', '*'])
@pytest.mark.parametrize('variable', ['', 'data_root = root\n'])
def test_data_root_of_a_pure_python_config(tmp_path: Path, names: str, variable: str) -> None:
    """Its variable may be called otherwise, or not be imported; what is dumped can be read again."""
    (tmp_path / 'base.py').write_text(LAZY_BASE + variable)
    (tmp_path / 'config.py').write_text(
        f'from mmengine.config import read_base\nwith read_base():\n    from .base import {names}\n'
    )
    cfg = load_config(str(tmp_path / 'config.py'))
    set_data_root(cfg, '/new')
    cfg.dump(tmp_path / 'dumped.py')
    for each in (cfg, Config.fromfile(tmp_path / 'dumped.py')):
        assert each.train_dataloader.dataset.data_root == '/new/'
        assert each.val_dataloader.dataset.data_root == '/new/'
        assert each.val_evaluator.ann_file == '/new/annotations/val.json'
    assert "type='mmdet.datasets.CocoDataset'" in (tmp_path / 'dumped.py').read_text()


def test_data_sets_in_different_folders_do_not_move_together() -> None:
    cfg = Config({f'{split}_dataloader': dict(dataset=dict(data_root=f'/{split}/')) for split in ('train', 'val')})
    with pytest.raises(ValueError, match=r'^data_root=/new: .* its data sets lie in /train, /val; set'):
        set_data_root(cfg, '/new')


@pytest.mark.parametrize(
    ('option', 'nearest'),
    [('model.neck.tap', 'taps'), ('model.neck.samplr.near', 'sampler'), ('model.neck.vew', 'view')],
)
def test_an_option_that_is_almost_one_of_the_contrast(option: str, nearest: str) -> None:
    """It goes to the stock neck, which refuses it; the message says what was meant."""
    with pytest.raises(ValueError) as found:
        config_from_options('configs/shapes/retinanet_r18_shapes.py', {option: 2}, cds=True, teacher=False)
    message = str(found.value)
    name = option.split('.')[2]
    assert message.startswith("model.neck of type 'FPN' cannot be built: ")
    assert f'; --cfg-options {option}: argument of the CDSNeck={name!r} is not known; nearest: {nearest}' in message
    assert '\n' not in message
    # One that the stock neck takes goes there without a word.
    options = {'model.neck.num_outs': 4}
    cfg = config_from_options('configs/shapes/retinanet_r18_shapes.py', options, cds=True, teacher=False)
    assert cfg.model.neck.neck.num_outs == 4


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('a = (1,\n', "SyntaxError in line 1: '(' was never closed"),
        ('a = b\n', "NameError: name 'b' is not defined"),
        ("_base_ = './base.py'\na = _base_.no_such\n", 'AttributeError: '),
    ],
)
def test_a_file_that_is_no_config_is_named_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / 'base.py').write_text('x = 1\n')
    (tmp_path / 'bad.py').write_text(text)
    with pytest.raises(ValueError) as found:
        load_config(str(tmp_path / 'bad.py'))
    message = str(found.value)
    assert message.startswith(f"config='{tmp_path}/bad.py', or a file that it inherits from, cannot be read: {said}")
    assert '\n' not in message


def test_a_mistake_in_an_imported_module_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'module_with_a_mistake.py').write_text('x = 1\n\ny = undefined\n')
    (tmp_path / 'good.py').write_text("custom_imports = dict(imports=['module_with_a_mistake'])\n")
    with pytest.raises(NameError) as found:
        load_config(str(tmp_path / 'good.py'))
    assert str(found.traceback[-1].path).endswith('module_with_a_mistake.py')
    assert found.traceback[-1].lineno == 2
