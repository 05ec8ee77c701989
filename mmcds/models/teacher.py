"""A trained model that shows the student its embeddings and logits."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcds.utils.errors import unknown_name

from .contrastive_supervision import ContrastiveSupervision
from .necks.stock_neck import ATTRIBUTE
from .outputs import as_outputs, split_outputs
from .samplers import Samples, ViewPair
from .statistics import keep_statistics
from .supervision import Features, feature_of
from .taps import Tap

MODES = ('eval', 'train')


class Teacher:
    """A frozen detector or classifier beside the student.

    It is no ``nn.Module`` and belongs to none, so that neither the student's checkpoint nor its optimiser sees it.
    Trained with CDS, it embeds with its own projectors; trained without, with its pooled features.

    Args:
        model (nn.Module): Built, with its weights loaded.
        mode (str): 'eval', or 'train' for the batch statistics of the released code, whose teacher stayed
            in training mode by oversight. Its running statistics are kept in either. Defaults to 'eval'.

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
        """What its backbone and, if asked, its neck give on both views (N, 3, H, W) and (N, 3, H', W')."""
        with keep_statistics(self.model):
            if first.shape == second.shape:
                both = self.model.backbone(torch.cat([first, second.to(first.dtype)]))
                raw = [split_outputs(both, part, len(first)) for part in (0, 1)]
            else:
                raw = [self.model.backbone(view) for view in (first, second)]
            found: Features = ({}, {})
            for view, output in zip(found, raw, strict=True):
                view['backbone'] = as_outputs(output)  # type: ignore[index]
                view['raw'] = output  # type: ignore[index]
                if with_neck:
                    view['neck'] = as_outputs(self.model.neck(output))  # type: ignore[index]
        return found

    @torch.no_grad()
    def embed(
        self, taps: list[Tap], features: Features, sampler: Any, samples: Samples, views: ViewPair
    ) -> dict[str, Tensor]:
        """L2-normalised embeddings (2 M, D) of the student's samples, by tap.

        Args:
            taps (list[Tap]): The student's taps.
            features (Features): From :meth:`features`.
            sampler: The student's, which cuts the same places out of the teacher's maps.
            samples (Samples): What the student contrasts.
            views (ViewPair): Geometry and annotations.

        Raises:
            ValueError: If the teacher has no such output.
        """
        found = {}
        with torch.autocast(views.image_labels.device.type, enabled=False), keep_statistics(self.model):
            for tap in taps:
                maps = [self._map(tap, view) for view in features]
                crops = [sampler.crop(maps[v], samples.rois[v], views.input_sizes[v]).float() for v in range(2)]
                if crops[0].shape[2:] == crops[1].shape[2:]:
                    # As the released code's: one batch, which matters in training mode.
                    crops = [torch.cat(crops)]
                found[tap.key] = F.normalize(torch.cat([self._project(tap, crop) for crop in crops]), dim=1)
        return found

    @torch.no_grad()
    def logits(self, features: Features, with_neck: bool = True) -> Tensor:
        """What its head gives on view 1, (N, C)."""
        raw: Any = features[0]['raw']
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
        # The teacher's own widths: only the form of the map is checked.
        return feature_of(Tap(tap.source, tap.index, outputs[tap.index].shape[1], tap.steps), view)
