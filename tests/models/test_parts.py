"""Parts are built in any scope, a user's own among them; wrong ones are named."""

import re
from typing import Any

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope, Registry
from torch import Tensor, nn

from mmcds.models import (
    ContrastiveLoss,
    InstanceSampler,
    Loss,
    MLPProjector,
    Projector,
    Sampler,
    Samples,
    View,
    ViewPair,
)
from mmcds.models.parts import build_part

KINDS = ('MLPProjector', 'IdentityProjector')


@pytest.mark.parametrize('scope', ['mmengine', 'mmdet', 'mmpretrain', 'mmcds'])
@pytest.mark.parametrize('name', ['MLPProjector', 'mmcds.MLPProjector', MLPProjector])
def test_whatever_the_scope(scope: str, name: Any) -> None:
    cfg = dict(type=name, out_channels=7)
    with DefaultScope.overwrite_default_scope(scope):
        part = build_part('neck.projector', cfg, KINDS, in_channels=3, steps=1)
    assert isinstance(part, MLPProjector)
    assert part.out_channels == 7
    assert cfg == dict(type=name, out_channels=7)


def test_a_user_s_own_part_gets_what_it_asks_for() -> None:
    registry = Registry('model', parent=MODELS, scope='toyproject')

    @registry.register_module()
    class Own(nn.Module):
        def __init__(self, in_channels: int, colour: str = 'red') -> None:
            super().__init__()
            self.made = in_channels, colour

    part = build_part('neck.projector', dict(type='toyproject.Own', colour='blue'), KINDS, in_channels=3, steps=1)
    assert part.made == (3, 'blue')

    @registry.register_module()
    class Any_(nn.Module):  # noqa: N801
        def __init__(self, **kwargs: Any) -> None:
            super().__init__()
            self.made = kwargs

    part = build_part('neck.projector', dict(type='toyproject.Any_', colour='blue'), KINDS, in_channels=3, steps=1)
    assert part.made == dict(in_channels=3, steps=1, colour='blue')


@pytest.mark.parametrize('base', [Loss, Projector, Sampler, View])
def test_a_misspelt_method_is_told_when_the_part_is_built(base: type) -> None:
    part = type('Part', (base,), {'foward': lambda self: None})
    with pytest.raises(TypeError, match='abstract method'):
        part()


@pytest.mark.parametrize(
    ('cfg', 'message'),
    [
        (
            dict(type='MLPProjektor'),
            "neck.projector.type='MLPProjektor' is not known; valid: MLPProjector, IdentityProjector",
        ),
        (
            # Registered, but no projector.
            dict(type='mmcds.ContrastiveLoss'),
            "neck.projector.type='mmcds.ContrastiveLoss' is not known; valid: MLPProjector, IdentityProjector",
        ),
        (
            dict(type='nowhere.Projector'),
            "neck.projector.type='nowhere.Projector': there is no package 'nowhere' to import; add the folder that it "
            "lies in to PYTHONPATH, and 'nowhere' to custom_imports",
        ),
        (
            dict(type='MLPProjector', out_chanels=3),
            "neck.projector: argument='out_chanels' is not known; "
            'valid: hidden_channels, out_channels, num_layers, init_cfg',
        ),
        (
            # What mmcds itself gives is not the user's to give.
            dict(type='MLPProjector', in_channels=3),
            "neck.projector: argument='in_channels' is not known; "
            'valid: hidden_channels, out_channels, num_layers, init_cfg',
        ),
        (
            dict(out_channels=3),
            "neck.projector={'out_channels': 3} is not a config of a part; give dict(type='MLPProjector', ...)",
        ),
        (
            dict(type=None),
            "neck.projector={'type': None} is not a config of a part; give dict(type='MLPProjector', ...)",
        ),
        (
            'MLPProjector',
            "neck.projector='MLPProjector' is not a config of a part; give dict(type='MLPProjector', ...)",
        ),
    ],
)
def test_wrong_parts_are_named(cfg: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        build_part('neck.projector', cfg, KINDS, in_channels=3, steps=1)
    # Which names are nearest is difflib's choice.
    assert re.sub('nearest: [^;]*; ', '', str(caught.value)) == message


def test_what_mmengine_leaves_in_a_config_is_no_argument() -> None:
    part = build_part('neck.projector', dict(type='MLPProjector', _delete_=True), KINDS, in_channels=3, steps=1)
    assert isinstance(part, MLPProjector)


def test_a_subclass_that_hands_its_arguments_on_has_those_of_its_parents() -> None:
    class Small(InstanceSampler):
        def __init__(self, largest: int = 9, **kwargs: Any) -> None:
            super().__init__(**kwargs)

    assert build_part('neck.sampler', dict(type=Small, largest=3, roi_size=1), KINDS).roi_size == 1
    with pytest.raises(
        ValueError, match=r"argument='roi_sise' is not known; nearest: roi_size; .*valid: largest, roi_size"
    ):
        build_part('neck.sampler', dict(type=Small, roi_sise=1), KINDS)


def test_a_sampler_without_one_of_its_methods_is_refused() -> None:
    class Half(Sampler):
        def sample(self, views: ViewPair) -> Samples:
            raise AssertionError('never built')

    with pytest.raises(TypeError, match=r"Can't instantiate abstract class Half .*crop"):
        build_part('neck.sampler', dict(type=Half), ('InstanceSampler',))


def test_a_class_with_a_forward_of_its_own_does_not_inherit_what_the_parent_s_promises() -> None:
    class OwnProjector(MLPProjector):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)

    class SameProjector(MLPProjector):
        pass

    class OwnLoss(ContrastiveLoss):
        def forward(self, *args: Any) -> Tensor:
            return super().forward(*args)

    class JoiningLoss(ContrastiveLoss):
        joins_taps = True

        def forward(self, *args: Any) -> Tensor:
            return super().forward(*args)

    assert [each.row_by_row for each in (MLPProjector, OwnProjector, SameProjector)] == [True, False, True]
    assert [each.joins_taps for each in (ContrastiveLoss, OwnLoss, JoiningLoss)] == [True, False, True]


def test_boxes_are_chosen_by_the_method_s_older_name_too() -> None:
    with pytest.warns(DeprecationWarning, match='First._choose moved to choose'):

        class First(InstanceSampler):
            def _choose(self, *boxes: Tensor) -> Tensor:
                kept: Tensor = super()._choose(*boxes)[:1]  # type: ignore[misc]
                return kept

    box = torch.tensor([[0.0, 0, 8, 8], [2, 2, 6, 9]])
    sizes = torch.tensor([[16.0, 16.0]])
    views = ViewPair(((16, 16),) * 2, (sizes, sizes), torch.tensor([-1]), ([box], [box]), [torch.tensor([3, 4])], None)
    assert First().sample(views).labels.tolist() == [3]
    assert InstanceSampler().sample(views).labels.tolist() == [3, 4]
