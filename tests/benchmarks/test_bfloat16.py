"""The forward pass is of bfloat16, and what the optimizer sees of float32."""

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

NAME = 'benchmarks.experiments.bfloat16.BFloat16OptimWrapper'


class Model(BaseModel):
    """A layer whose output is the loss, and the dtype it had."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 1, bias=False)
        self.dtype: torch.dtype | None = None

    def forward(self, inputs: Tensor, mode: str = 'loss') -> dict[str, Tensor]:
        out = self.layer(inputs)
        self.dtype = out.dtype
        return {'loss': out.float().sum()}


def test_another_device_is_refused() -> None:
    wrapper = build_optim_wrapper(Model(), dict(type=NAME, optimizer=dict(type='SGD', lr=1.0)))
    with (
        pytest.raises(ValueError, match='is for a CPU, and the model is on meta'),
        wrapper.optim_context(Model().to('meta')),
    ):
        pass


def test_a_step() -> None:
    model = Model()
    wrapper = build_optim_wrapper(model, dict(type=NAME, optimizer=dict(type='SGD', lr=1.0)))
    before = model.layer.weight.detach().clone()
    # Small integers are exact in bfloat16.
    inputs = torch.randint(-8, 8, (4, 8)).float()
    model.train_step(dict(inputs=inputs), wrapper)
    assert model.dtype == torch.bfloat16
    assert model.layer.weight.dtype == torch.float32
    # The gradient of the sum is the sum of the inputs.
    torch.testing.assert_close(before - model.layer.weight.detach(), inputs.sum(0)[None], atol=1e-6, rtol=0)
    # Outside the step nothing is changed.
    assert model(inputs)['loss'].dtype == torch.float32
    assert model.dtype == torch.float32
