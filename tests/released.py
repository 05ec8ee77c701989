"""The released code's network in plain torch: its layer names, its forward pass and its loss, written anew."""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from toys import released_form

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


class Block(nn.Module):
    """Two 3x3 convolutions, or 1x1, 3x3, 1x1 with four times the width; the stride is the 3x3's."""

    def __init__(self, channels: int, width: int, stride: int, three: bool) -> None:
        super().__init__()
        out = width * (4 if three else 1)
        kernels, strides = ((1, 3, 1), (1, stride, 1)) if three else ((3, 3), (stride, 1))
        widths = [channels, *[width] * (len(kernels) - 1), out]
        for i, (a, b) in enumerate(pairwise(widths)):
            self.add_module(f'conv{i + 1}', nn.Conv2d(a, b, kernels[i], strides[i], kernels[i] // 2, bias=False))
            self.add_module(f'bn{i + 1}', nn.BatchNorm2d(b))
        self.count = len(kernels)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in range(1, self.count + 1):
            y = self.get_submodule(f'bn{i}')(self.get_submodule(f'conv{i}')(y))
            y = F.relu(y) if i < self.count else y
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class SeparableConv(nn.Module):
    """DW3x3 s2 -> PW -> BN -> ReLU -> DW3x3 -> PW -> BN -> ReLU."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.Conv2d(a, a, 3, stride=2, padding=1, groups=a, bias=False),
            nn.Conv2d(a, a, 1, bias=False),
            nn.BatchNorm2d(a),
            nn.ReLU(),
            nn.Conv2d(a, a, 3, stride=1, padding=1, groups=a, bias=False),
            nn.Conv2d(a, b, 1, bias=False),
            nn.BatchNorm2d(b),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class ReleasedNet(nn.Module):
    """ResNet with a head behind each of its first three stages.

    Args:
        depth (int): 18 or 50.
        cifar (bool): Whether the stem is 3x3 with stride 1 and no pooling.
        classes (int): Classes.
        base (int): Width of the first stage.
        seed (int): Of the weights and of the running statistics, none of which is left at 0 or 1.
    """

    def __init__(self, depth: int, cifar: bool, classes: int = 10, base: int = 64, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.cifar = cifar
        stem = dict(kernel_size=3, padding=1) if cifar else dict(kernel_size=7, stride=2, padding=3)
        self.conv1 = nn.Conv2d(3, base, bias=False, **stem)  # type: ignore[arg-type]
        self.bn1 = nn.BatchNorm2d(base)
        three = depth == 50
        channels = base
        for stage, count in enumerate(BLOCKS[depth]):
            width, blocks = base * 2**stage, []
            for i in range(count):
                blocks.append(Block(channels, width, 2 if stage and not i else 1, three))
                channels = width * (4 if three else 1)
            self.add_module(f'layer{stage + 1}', nn.Sequential(*blocks))
            steps = [channels * 2**i for i in range(4 - stage)]
            if stage < 3:
                self.add_module(
                    f'auxiliary{stage + 1}', nn.Sequential(*(SeparableConv(a, b) for a, b in pairwise(steps)))
                )
        self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                statistics: Any = module.running_mean, module.running_var
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
                nn.init.normal_(statistics[0], 0, 0.2)
                nn.init.uniform_(statistics[1], 0.5, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Images (N, 3, H, W) -> logits (N, classes) and four embeddings (N, D) of length 1."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = x if self.cifar else F.max_pool2d(x, 3, 2, 1)
        embeddings = []
        for stage in range(1, 5):
            x = self.get_submodule(f'layer{stage}')(x)
            y = self.get_submodule(f'auxiliary{stage}')(x) if stage < 4 else x
            embeddings.append(F.normalize(F.adaptive_avg_pool2d(y, 1).flatten(1), dim=1))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1)), embeddings

    def step(self, first: Tensor, second: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """A training step: the total loss, the logits of view 1 (N, classes), and the embeddings (2N, D)."""
        logits, embeddings = self(torch.cat([first, second]))
        logits = logits[: len(labels)]
        loss = F.cross_entropy(logits, labels)
        for z in embeddings:
            loss = loss + (0.1 if self.cifar else 0.5) * released_form(torch.stack(z.chunk(2), dim=1), labels)
        return loss, logits, embeddings
