"""Distillation losses: distances of embeddings at every tap, and soft cross entropy of logits."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcds.registry import MODELS
from mmcds.utils.errors import check_count, check_range
from mmcds.utils.precision import call_in_own_dtype
from mmcds.utils.tree import connected_zero


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""The Euclidean norm :math:`\|z_T - A(z_S)\|_2` of the whole matrix, not squared (released code).

    Args:
        student (Tensor): Adapted embeddings (M, D), floating.
        teacher (Tensor): The teacher's embeddings (M, D); no gradient flows to them.

    Returns:
        Tensor: Scalar >= 0; 0 for M = 0, with a gradient of 0 where both are equal.
    """
    difference = (teacher.detach() - student).flatten()
    if difference.numel() == 0:
        return connected_zero(student)
    return torch.linalg.vector_norm(difference)


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Mean over images of :math:`-\sum_c \mathrm{softmax}(t / T)_c \log \mathrm{softmax}(s / T)_c`, without T².

    Args:
        student (Tensor): Logits (N, C), floating.
        teacher (Tensor): The teacher's logits (N, C); no gradient flows to them.
        temperature (float): T, > 0. Defaults to 1.

    Returns:
        Tensor: Scalar >= 0; 0 for N = 0.
    """
    if len(student) == 0:
        return connected_zero(student)
    return F.cross_entropy(student / temperature, F.softmax(teacher.detach() / temperature, dim=1))


@MODELS.register_module()
class DistillationLoss(nn.Module):
    """The paper's distillation losses, and the layers that adapt the student's widths to the teacher's.

    Args:
        widths (Mapping[str, int]): Width of the student's embedding by tap; mmcds gives it.
        channels (int | Sequence[int], optional): Width of the teacher's embeddings, one number
            for all taps or one per tap. Defaults to None: those of the student. Where they differ, a linear layer
            follows the student's embedding.
        distance_weight (float): Weight of the distance of the embeddings at every tap, >= 0. Defaults to 0.1 (the
            released code's on CIFAR; 0.5 on ImageNet).
        logits_weight (float): Weight of the soft cross entropy of the logits on view 1, >= 0. Defaults to 1.0;
            0 for detectors, whose heads give no logits of images.
        temperature (float): Of the soft cross entropy, > 0. Defaults to 3.0 (the released code's on
            CIFAR; 1 on ImageNet).

    Raises:
        ValueError: If an argument is out of range, or ``channels`` are not one per tap.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        channels: int | Sequence[int] | None = None,
        distance_weight: float = 0.1,
        logits_weight: float = 1.0,
        temperature: float = 3.0,
    ) -> None:
        super().__init__()
        self.distance_weight = check_range('distill.distance_weight', distance_weight, 0)
        self.logits_weight = check_range('distill.logits_weight', logits_weight, 0)
        self.temperature = check_range('distill.temperature', temperature, 0, open_low=True)
        if not distance_weight and not logits_weight:
            raise ValueError(
                'distill.distance_weight=0 and logits_weight=0 leave nothing to distil; set one of them above 0, or '
                'remove distill'
            )
        if channels is None:
            teacher_widths = list(widths.values())
        else:
            teacher_widths = list(channels) if isinstance(channels, Sequence) else [channels] * len(widths)
        if len(teacher_widths) != len(widths):
            raise ValueError(
                f'distill.channels={teacher_widths} has {len(teacher_widths)} numbers for the taps {list(widths)}'
            )
        self.channels = {
            key: check_count('distill.channels', width, 1) for key, width in zip(widths, teacher_widths, strict=True)
        }
        self.adapters = nn.ModuleDict(
            {key: nn.Linear(widths[key], width) for key, width in self.channels.items() if widths[key] != width}
        )

    def names(self) -> dict[str, list[nn.Module]]:
        """Names of the losses, each with the modules that only it trains."""
        named: dict[str, list[nn.Module]] = {}
        if self.distance_weight:
            named = {f'loss_distill_{k}': [self.adapters[k]] if k in self.adapters else [] for k in self.channels}
        return {**named, **({'loss_distill_logits': []} if self.logits_weight else {})}

    def embedding_losses(self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Distances between student and teacher at the taps.

        Args:
            student (Mapping[str, Tensor]): Embeddings (M, D) by tap.
            teacher (Mapping[str, Tensor]): The teacher's (M, D') of the same instances, D' as in ``channels``.

        Returns:
            dict[str, Tensor]: ``loss_distill_<tap>``, weighted scalars.

        Raises:
            ValueError: If the teacher's width is not ``channels``.
        """
        if not self.distance_weight:
            return {}
        losses = {}
        for key, embeddings in student.items():
            adapted = call_in_own_dtype(self.adapters[key], embeddings) if key in self.adapters else embeddings
            if adapted.shape != teacher[key].shape:
                raise ValueError(
                    f'distill.channels: the teacher embeds {key} in {teacher[key].shape[1]} channels, the student '
                    f'is adapted to {adapted.shape[1]}; set distill.channels={teacher[key].shape[1]} for this tap'
                )
            losses[f'loss_distill_{key}'] = distance_loss(adapted, teacher[key]) * self.distance_weight
        return losses

    def logit_losses(self, student: Tensor, teacher: Tensor) -> dict[str, Tensor]:
        """The soft cross entropy of logits (N, C): ``loss_distill_logits``, weighted."""
        loss = soft_cross_entropy(student.float(), teacher.float(), self.temperature)
        return {'loss_distill_logits': loss * self.logits_weight}
