"""Pooling against numpy's mean."""

import torch

from mmcds.models import IdentityProjector


def test_is_average_pooling() -> None:
    x = torch.randn(3, 4, 2, 5, dtype=torch.float64)
    projector = IdentityProjector(4, steps=1)
    torch.testing.assert_close(projector(x), torch.from_numpy(x.numpy().mean(axis=(2, 3))))
    assert projector.out_channels == 4
    assert list(projector.parameters()) == []
