"""Taps against mmdet's own necks and the messages for wrong ones."""

from typing import Any

import pytest
import torch

from mmcds.models.taps import neck_name, output_channels, resolve_taps

FPN = dict(type='FPN', in_channels=[8, 16, 32], out_channels=4, num_outs=5)


@pytest.mark.parametrize(
    ('neck', 'backbone', 'out'),
    [
        (FPN, [8, 16, 32], [4] * 5),
        (dict(type='FPN', in_channels=[8, 16], out_channels=4, num_outs=2), [8, 16], [4, 4]),
        (dict(type='YOLOXPAFPN', in_channels=[8, 16, 32], out_channels=8), [8, 16, 32], [8] * 3),
        (
            dict(type='ChannelMapper', in_channels=[8, 16, 32], kernel_size=1, out_channels=32, num_outs=4),
            [8, 16, 32],
            [32] * 4,
        ),
        ([FPN, dict(type='BFP', in_channels=4, num_levels=5, refine_level=2)], [8, 16, 32], []),
    ],
)
def test_channels_read_off_a_config_are_those_that_the_neck_returns(
    neck: Any, backbone: list[int], out: list[int], mmdet_scope: None
) -> None:
    from mmdet.registry import MODELS

    found = output_channels(neck)
    assert found == {'backbone': backbone, 'neck': out}
    features: Any = tuple(torch.zeros(1, c, 32 // 2**i, 32 // 2**i) for i, c in enumerate(backbone))
    for each in neck if isinstance(neck, list) else [neck]:
        features = MODELS.build(each).eval()(features)
    assert [f.shape[1] for f in features] == (out or [4] * 5)


@pytest.mark.parametrize('neck', [None, dict(type='GlobalAveragePooling'), []])
def test_what_the_config_does_not_say_is_not_guessed(neck: Any) -> None:
    assert output_channels(neck) == {'backbone': [], 'neck': []}


def test_every_output_of_the_backbone_is_the_default() -> None:
    taps = resolve_taps(None, FPN)
    assert [(t.name, t.key, t.channels, t.steps) for t in taps] == [
        ('backbone.0', 'backbone0', 8, 2),
        ('backbone.1', 'backbone1', 16, 1),
        ('backbone.2', 'backbone2', 32, 0),
    ]


def test_given_channels_win_and_what_is_no_feature_map_is_skipped() -> None:
    taps = resolve_taps(None, FPN, dict(backbone=[0, 7, 9]))
    assert [(t.name, t.channels, t.steps) for t in taps] == [('backbone.1', 7, 1), ('backbone.2', 9, 0)]
    taps = resolve_taps(['neck.4', 'backbone.1'], FPN)
    assert [(t.name, t.channels, t.steps) for t in taps] == [('neck.4', 4, 0), ('backbone.1', 16, 1)]


@pytest.mark.parametrize(
    ('names', 'neck', 'channels', 'message'),
    [
        (
            ['backbone.3'],
            FPN,
            None,
            "neck.taps='backbone.3' is not known; nearest: backbone.2, backbone.1, backbone.0; valid: backbone.0, "
            'backbone.1, backbone.2, neck.0, neck.1, neck.2, neck.3, neck.4; the backbone has 3 outputs',
        ),
        (
            ['bakbone.1'],
            FPN,
            None,
            "neck.taps='bakbone.1' is not known; nearest: backbone.1, backbone.2, backbone.0; valid: backbone.0, "
            'backbone.1, backbone.2, neck.0, neck.1, neck.2, neck.3, neck.4',
        ),
        (
            [2],
            None,
            None,
            'neck.taps=2 is not known; valid: backbone.<output>, neck.<output>',
        ),
        ([], FPN, None, "neck.taps=[] names no tap; give a list such as ['backbone.2', 'backbone.3']"),
        (
            'backbone.2',
            FPN,
            None,
            "neck.taps='backbone.2' names no tap; give a list such as ['backbone.2', 'backbone.3']",
        ),
        (2, FPN, None, "neck.taps=2 names no tap; give a list such as ['backbone.2', 'backbone.3']"),
        (
            {'backbone.2': 1},
            FPN,
            None,
            "neck.taps={'backbone.2': 1} names no tap; give a list such as ['backbone.2', 'backbone.3']",
        ),
        (None, FPN, [4, 5], 'neck.channels=[4, 5] is not a dict; give dict(backbone=[...], neck=[...])'),
        (
            None,
            FPN,
            dict(backbone=256),
            'neck.channels.backbone=256 is not a list; give the width of each output: [256, 512]',
        ),
        (
            None,
            FPN,
            dict(bakbone=[4, 5]),
            "neck.channels: argument='bakbone' is not known; nearest: backbone; valid: backbone, neck, modules",
        ),
        (
            None,
            FPN,
            dict(neck=[4, 'a']),
            "neck.channels.neck='a' is out of range; give a whole number, 0 or more",
        ),
        (
            None,
            FPN,
            dict(modules=['backbone.layer2']),
            "neck.channels.modules=['backbone.layer2'] is not a dict; give {'backbone.layer2': 128, ...}",
        ),
        (
            ['backbone.1', 'backbone.1'],
            FPN,
            None,
            "neck.taps=['backbone.1', 'backbone.1'] names a tap twice; name each once",
        ),
        (
            None,
            dict(type='GlobalAveragePooling'),
            None,
            "neck.taps='backbone.0': the channels of the backbone are not in the config of the neck "
            'GlobalAveragePooling; add channels=dict(backbone=[...]), one per output, to the CDSNeck, '
            'or let mmcds.add_cds read them',
        ),
        (
            None,
            'FPN',
            None,
            "neck.neck='FPN' is not a config; give dict(type='FPN', ...), a list of such, or None",
        ),
        (
            ['neck.0'],
            [dict(type='A', in_channels=[3]), dict(type='B')],
            None,
            "neck.taps='neck.0': the channels of the neck are not in the config of the neck A + B; add "
            'channels=dict(neck=[...]), one per output, to the CDSNeck, or let mmcds.add_cds read them',
        ),
        (
            ['backbone.0'],
            None,
            dict(backbone=[0, 5]),
            "neck.taps='backbone.0' is not known; valid: backbone.1; the backbone has 2 outputs",
        ),
    ],
)
def test_wrong_taps_are_named(names: Any, neck: Any, channels: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        resolve_taps(names, neck, channels)
    assert str(caught.value) == message


def test_neck_name() -> None:
    assert neck_name(None) == 'None'
    assert neck_name([FPN, dict(type='BFP')]) == 'FPN + BFP'
