"""Our BatchNorm is torch's wherever torch's does not raise."""

import pytest
import torch
from torch import nn

from mmcds.models.projectors.sepconv import BatchNorm2d


@pytest.mark.parametrize('shape', [(2, 3, 1, 1), (1, 3, 2, 1), (4, 3, 5, 5)])
@pytest.mark.parametrize('training', [True, False])
def test_is_torch_s(shape: tuple[int, ...], training: bool) -> None:
    ours, stock = BatchNorm2d(3).train(training), nn.BatchNorm2d(3).train(training)
    x = torch.randn(shape)
    assert torch.equal(ours(x), stock(x))
    for name, value in stock.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


@pytest.mark.parametrize('shape', [(1, 3, 1, 1), (0, 3, 4, 4)])
def test_one_value_and_none_use_the_running_statistics(shape: tuple[int, ...]) -> None:
    norm = BatchNorm2d(3, eps=0.0).train()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.fill_(1.0)
    norm.running_var.fill_(4.0)
    output = norm(torch.full(shape, 5.0))
    assert torch.equal(output, torch.full(shape, 2.0))  # (5 - 1) / 2
    assert norm.num_batches_tracked == 0
    with pytest.raises(ValueError, match='more than 1 value'):
        nn.BatchNorm2d(3).train()(torch.zeros(1, 3, 1, 1))
