"""The losses of a step with a teacher."""

from typing import Any

from torch import Tensor

from .contrastive_supervision import ContrastiveSupervision
from .samplers import ViewPair
from .supervision import Features, Supervision
from .teacher import Teacher


def distilled_losses(
    supervision: Supervision,
    teacher: Teacher,
    features: Features,
    views: ViewPair,
    inputs: tuple[Tensor, Tensor],
    logits: Any,
    rows: Tensor | None,
) -> dict[str, Tensor]:
    """The contrast of the student, and its distances from the teacher on the same samples.

    Args:
        supervision (Supervision): The student's, a :class:`ContrastiveSupervision` with ``distill``.
        teacher (Teacher): Whom it follows.
        features (Features): The student's.
        views (ViewPair): Geometry and annotations.
        inputs (tuple[Tensor, Tensor]): Both views (N, 3, H, W), as the student got them.
        logits: What the student's head gave for view 1, (N, C); None where it has no head of images.
        rows (Tensor, optional): The images that the head saw, (k,) int64; None is all.

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
    samples = supervision.sampler.sample(views)
    embeddings = supervision.embed(features, samples, views)
    losses = supervision.losses_of(embeddings, samples)
    shown = teacher.features(*inputs, with_neck=supervision.uses_neck)
    theirs = teacher.embed(supervision.taps, shown, supervision.sampler, samples, views)
    added = distill.embedding_losses(embeddings, theirs)
    if distill.logits_weight:
        if not isinstance(logits, Tensor) or logits.dim() != 2:
            raise ValueError(
                'distill.logits_weight: the model has no head that gives logits (N, C) of images; set logits_weight=0'
            )
        wanted = teacher.logits(shown)
        added.update(distill.logit_losses(logits, wanted if rows is None else wanted.index_select(0, rows)))
    return {**losses, **{name: loss * supervision.weight for name, loss in added.items()}}
