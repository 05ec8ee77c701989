"""The perceptron against matrix products written out."""

from typing import Any

import pytest
import torch

from mmcds.models import MLPProjector


@pytest.mark.parametrize('num_layers', [1, 2, 3])
def test_equals_matrix_products(num_layers: int) -> None:
    torch.manual_seed(0)
    projector = MLPProjector(6, hidden_channels=5, out_channels=3, num_layers=num_layers)
    x = torch.randn(4, 6, 2, 3)
    expected = x.numpy().mean(axis=(2, 3))
    weights = [p.detach().numpy() for p in projector.parameters()]
    assert len(weights) == 2 * num_layers
    for layer in range(num_layers):
        expected = expected @ weights[2 * layer].T + weights[2 * layer + 1]
        expected = expected.clip(min=0) if layer < num_layers - 1 else expected
    torch.testing.assert_close(projector(x), torch.from_numpy(expected), rtol=1e-5, atol=1e-6)


def test_defaults_are_simclr_s_and_one_or_no_instance_is_enough() -> None:
    projector = MLPProjector(6, steps=2).train()
    assert [tuple(p.shape) for p in projector.parameters()] == [(6, 6), (6,), (128, 6), (128,)]
    assert projector(torch.randn(1, 6, 1, 1)).shape == (1, projector.out_channels)
    assert projector(torch.zeros(0, 6, 7, 7)).shape == (0, 128)


@pytest.mark.parametrize('field', ['hidden_channels', 'out_channels', 'num_layers'])
@pytest.mark.parametrize('value', [0, 1.5, 'wide'])
def test_wrong_arguments_are_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf'projector\.{field}={value!r} .*whole number, 1 or more$'):
        MLPProjector(6, **{field: value})
