"""The stand-in necks against mmdet's nn.Sequential."""

import torch
from torch import nn

from mmcds.models import PassThroughNeck
from mmcds.models.necks import NeckChain


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
