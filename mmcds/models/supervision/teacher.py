"""The teacher of a distilled student, and the losses of the student with its teacher."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcds.utils.bn_statistics import keep_statistics
from mmcds.utils.errors import unknown_name
from mmcds.utils.tree import as_outputs, split_outputs

from ..step_data import Features, Samples, Tap, ViewPair, feature_of
from .base import ATTRIBUTE, Supervision
from .contrastive import ContrastiveSupervision

MODES = ('eval', 'train')


class Teacher:
    """A frozen detector or classifier that gives the student embeddings and logits to follow.

    It is not an ``nn.Module``, so it is in neither the student's checkpoint nor its optimiser. A teacher that was
    trained with CDS embeds with its own projectors, another one with its pooled features.

    Args:
        model (nn.Module): Built, with its weights loaded.
        mode (str): 'eval', or 'train' for the batch statistics of the released code, whose teacher stayed
            in training mode by oversight. Its running statistics do not change in either mode. Defaults to 'eval'.

    Raises:
        ValueError: If ``mode`` is neither.
    """

    def __init__(self, model: nn.Module, mode: str = 'eval') -> None:
        if mode not in MODES:
            raise unknown_name('teacher_mode', mode, MODES)
        self.model: Any = model.requires_grad_(False).train(mode == 'train')
        contrast = getattr(getattr(model, 'neck', None), ATTRIBUTE, None)
        self.contrast = contrast if isinstance(contrast, ContrastiveSupervision) else None

    def to(self, device: torch.device) -> 'Teacher':
        """Move it to the student's device. Returns self."""
        self.model.to(device)
        return self

    @torch.no_grad()
    def features(self, first: Tensor, second: Tensor, with_neck: bool) -> Features:
        """Outputs of its backbone, and of its neck if ``with_neck``, for both views (N, 3, H, W) and (N, 3, H', W').

        The source 'raw' holds the outputs of the backbone in their own container.
        """
        with keep_statistics(self.model):
            if first.shape == second.shape:
                both = self.model.backbone(torch.cat([first, second.to(first.dtype)]))
                raw = [split_outputs(both, part, len(first)) for part in (0, 1)]
            else:
                raw = [self.model.backbone(view) for view in (first, second)]
            features = Features()
            for view, output in zip((features.first, features.second), raw, strict=True):
                view['backbone'] = as_outputs(output)
                view['raw'] = output
                if with_neck:
                    view['neck'] = as_outputs(self.model.neck(output))
        return features

    @torch.no_grad()
    def embed(
        self, taps: list[Tap], features: Features, sampler: Any, samples: Samples, views: ViewPair
    ) -> dict[str, Tensor]:
        """L2-normalised embeddings (2 M, D) of the student's samples, by tap.

        Args:
            taps (list[Tap]): The student's taps.
            features (Features): From :meth:`features`.
            sampler: The student's, which crops the same locations from the teacher's maps.
            samples (Samples): The student's samples.
            views (ViewPair): Geometry and annotations.

        Raises:
            ValueError: If the teacher has no such output.
        """
        embeddings = {}
        with torch.autocast(views.image_labels.device.type, enabled=False), keep_statistics(self.model):
            for tap in taps:
                maps = [self._map(tap, view) for view in (features.first, features.second)]
                crops = [sampler.crop(maps[v], samples.rois[v], views.input_sizes[v]).float() for v in range(2)]
                if crops[0].shape[2:] == crops[1].shape[2:]:
                    # One batch, as in the released code; this matters in training mode.
                    crops = [torch.cat(crops)]
                embeddings[tap.key] = F.normalize(torch.cat([self._project(tap, crop) for crop in crops]), dim=1)
        return embeddings

    @torch.no_grad()
    def logits(self, features: Features, with_neck: bool = True) -> Tensor:
        """Logits of its head for view 1, (N, C)."""
        raw: Any = features.first['raw']
        with keep_statistics(self.model):
            neck = getattr(self.model, 'neck', None)
            logits: Tensor = self.model.head(neck(raw) if neck is not None else raw)
        return logits

    def _project(self, tap: Tap, crops: Tensor) -> Tensor:
        if self.contrast is not None and tap.key in self.contrast.projectors:
            projected: Tensor = self.contrast.projectors[tap.key](crops)
            return projected
        return crops.mean((2, 3))

    @staticmethod
    def _map(tap: Tap, view: Mapping[str, Any]) -> Tensor:
        outputs = view[tap.source]
        if tap.index >= len(outputs):
            raise ValueError(
                f'neck.taps={tap.name!r}: the {tap.source} of the teacher returned {len(outputs)} outputs; '
                'choose a teacher with the same stages, or other taps'
            )
        # With the teacher's own width, so only the shape is checked.
        return feature_of(Tap(tap.source, tap.index, outputs[tap.index].shape[1], tap.steps), view)


def distilled_losses(
    supervision: Supervision,
    teacher: Teacher,
    features: Features,
    views: ViewPair,
    inputs: tuple[Tensor, Tensor],
    logits: Any,
    rows: Tensor | None,
) -> dict[str, Tensor]:
    """The contrastive losses of the student, and its distillation losses on the same samples.

    Args:
        supervision (Supervision): The student's, a :class:`ContrastiveSupervision` with ``distill``.
        teacher (Teacher): The student's teacher.
        features (Features): The student's.
        views (ViewPair): Geometry and annotations.
        inputs (tuple[Tensor, Tensor]): Both views (N, 3, H, W), as the student got them.
        logits: Output of the student's head for view 1, (N, C); None if it has no head that classifies images.
        rows (Tensor, optional): Indices of the images that the head saw, (k,) int64; None means all.

    Returns:
        dict[str, Tensor]: ``loss_cds_<tap>``, ``loss_distill_<tap>``, ``loss_distill_logits``, weighted.

    Raises:
        ValueError: If the CDSNeck has no ``distill``, or teacher and student do not fit each other.
    """
    if not isinstance(supervision, ContrastiveSupervision) or supervision.distill is None:
        raise ValueError(
            'there is a teacher, but the CDSNeck learns nothing from it; add distill=dict() to the CDSNeck'
        )
    distill = supervision.distill
    samples = supervision.sample(views)
    embeddings = supervision.embed(features, samples, views)
    losses = supervision.losses_of(embeddings, samples)
    teacher_features = teacher.features(*inputs, with_neck=supervision.uses_neck)
    teacher_embeddings = teacher.embed(supervision.taps, teacher_features, supervision.sampler, samples, views)
    added = distill.embedding_losses(embeddings, teacher_embeddings)
    if distill.logits_weight:
        if not isinstance(logits, Tensor) or logits.dim() != 2:
            raise ValueError(
                'distill.logits_weight: the model has no head that gives logits (N, C) of images; set logits_weight=0'
            )
        targets = teacher.logits(teacher_features)
        added.update(distill.logit_losses(logits, targets if rows is None else targets.index_select(0, rows)))
    return {**losses, **{name: loss * supervision.weight for name, loss in added.items()}}
