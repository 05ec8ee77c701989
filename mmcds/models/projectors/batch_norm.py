"""Batch normalisation that survives a batch of one value."""

from torch import Tensor, nn


class BatchNorm2d(nn.BatchNorm2d):
    """``nn.BatchNorm2d`` that uses its running statistics where a batch has at most one value.

    The number of instances in a batch is the data's choice: with one of them, pooled to one cell,
    torch raises, since one value has no variance.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (N, C, H, W) per channel, in training by the batch's own statistics."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] <= 1:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(x)
