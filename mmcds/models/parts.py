"""The parts of the contrast: base classes that a user's own derive from, and building them from configs."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcds.registry import MODELS
from mmcds.utils.errors import unknown_name
from mmcds.utils.type_name import type_name

from .step_data import Samples, ViewPair


class View(nn.Module):
    """Makes the second view of a batch, or says that there is none.

    Attributes:
        single (bool): Whether the second view is the first, so that nothing is embedded twice. Defaults to False.
        scale (float): Side of the second view relative to the first. Defaults to 1.0.
        can_augment (bool): Whether :meth:`augment` is there, so that small second views can be put side by side on
            canvases (``concat=True`` with ``scale <= 0.5``). Defaults to False.
    """

    single = False
    scale = 1.0
    can_augment = False

    @abstractmethod
    def forward(
        self, inputs: Tensor, data_samples: Sequence[Any], preprocessor: nn.Module
    ) -> tuple[Tensor | None, ViewPair]:
        """Make the second view and say where things are in both.

        Random numbers come from torch's global generators, which mmcds seeds and gives back.

        Args:
            inputs (Tensor): The first view as the model gets it (N, C, H, W), normalised and padded.
            data_samples (Sequence): The N data samples;
                :func:`~mmcds.models.data_samples.read_targets` reads them.
            preprocessor (nn.Module): The model's data preprocessor.

        Returns:
            tuple[Tensor | None, ViewPair]: The second view (N, C, H', W') in the format of ``inputs``, None where
            there is none; geometry and annotations of both.
        """

    def size_of(self, size: Sequence[int]) -> tuple[int, int]:
        """(H', W') of the second view of an input (H, W), in pixels. Asked for if ``can_augment``."""
        raise NotImplementedError(f'{type(self).__name__}.size_of')

    def augment(
        self, inputs: Tensor, data_samples: Sequence[Any], preprocessor: nn.Module, size: tuple[int, int]
    ) -> Tensor:
        """The second view alone (N, C, H', W'), of a given ``size`` (H', W'). Asked for if ``can_augment``."""
        raise NotImplementedError(f'{type(self).__name__}.augment')

    def describe(self, inputs: Tensor, data_samples: Sequence[Any], second_size: tuple[int, int]) -> ViewPair:
        """Where things are in both views, the second of a size (H', W'). Asked for if ``can_augment``."""
        raise NotImplementedError(f'{type(self).__name__}.describe')


class Sampler(ABC):
    """Says what is contrasted, and cuts it out of the feature maps.

    Attributes:
        indexed_by_image (bool): Whether ``rois``, or their first column, are the place of the image in the batch. Where
            both views are one batch, ``crop`` is then called once for both. Defaults to False.
        in_pixels (bool): Whether ``rois`` are (image, x, y) or (image, x1, y1, x2, y2), in pixels of the view's input.
            Packed second views need it. Defaults to False.
        needs_map (bool): Whether ``views.between()`` is asked for; configs are checked by it. Defaults to False.
    """

    indexed_by_image = False
    in_pixels = False
    needs_map = False

    @abstractmethod
    def sample(self, views: ViewPair) -> Samples:
        """Choose what is contrasted, once per step.

        Random numbers come from torch's global generators, which mmcds seeds and gives back.

        Args:
            views (ViewPair): Geometry and annotations of the batch.

        Returns:
            Samples: M places in both views, M >= 0.
        """

    @abstractmethod
    def crop(self, feature: Tensor, rois: Any, input_size: tuple[int, int]) -> Tensor:
        """Cut the samples out of one feature map; called for each tap and view.

        Args:
            feature (Tensor): A tap's features of one view (N, C, h, w), floating.
            rois (Tensor): ``Samples.rois`` of this view.
            input_size (tuple[int, int]): (H, W) of the view's input, in pixels.

        Returns:
            Tensor: (M, C, h', w'), connected to the graph of ``feature`` also for M = 0.
        """


class Projector(BaseModule):
    """Maps crops to embeddings, in training only; one per tap.

    It is built as ``Projector(in_channels=..., steps=..., **cfg)``; an argument that it does not take is not given.
    ``in_channels`` are the channels of the tap, ``steps`` the outputs of the same source behind it.

    Attributes:
        out_channels (int): Width D of the embedding.
        row_by_row (bool): Whether no row of the output depends on another row of the input, as with batch statistics.
            The crops of both views then share one call. A class with a ``forward`` of its own says it again.
            Defaults to False.
    """

    out_channels: int
    row_by_row = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if 'forward' in vars(cls) and 'row_by_row' not in vars(cls):
            cls.row_by_row = False

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(M, in_channels, h, w) -> (M, out_channels), float32; not yet of length 1."""


class Loss(nn.Module):
    """Compares embeddings.

    Attributes:
        joins_taps (bool): Whether it takes the embeddings of T taps at once (T, R, D) and returns a loss for each (T,),
            so that they share kernels. A class with a ``forward`` of its own says it again. Defaults to False.
    """

    joins_taps = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if 'forward' in vars(cls) and 'joins_taps' not in vars(cls):
            cls.joins_taps = False

    @abstractmethod
    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ids: Tensor,
        is_anchor: Tensor,
        queue: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """The loss of a batch.

        An argument ``weights`` (R,) beside these takes the weights of embeddings as positives of others, where a
        sampler gives them (``jitter_weighted``).

        Args:
            embeddings (Tensor): L2-normalised rows (R, D), of one view or of both, float32 or float64.
            labels (Tensor): (R,) int64, -1 where there is no label.
            ids (Tensor): (R,) int64, >= 0; equal for embeddings of one object.
            is_anchor (Tensor): (R,) bool; the others are negatives only.
            queue (tuple[Tensor, Tensor], optional): Further keys (Q, D) and their labels (Q,). Defaults to None.

        Returns:
            Tensor: Scalar >= 0. Without anything to compare a 0 that is connected to the graph.
        """


def build_part(field: str, cfg: Any, kinds: tuple[str, ...], **kwargs: Any) -> Any:
    """Build a part of mmcds, whatever the default scope of the config it stands in.

    Args:
        field (str): The config field, for messages (``'neck.projector'``).
        cfg (dict): With ``type``: one of ``kinds``, or the name of the user's own registered
            part with its scope (``'myproject.MySampler'``).
        kinds (tuple[str, ...]): The names that mmcds has for this part.
        **kwargs: Arguments that the part is given by mmcds.

    Returns:
        The part.

    Raises:
        ValueError: If ``cfg`` has no ``type``, its type is not known, or an argument is not.
    """
    if not isinstance(cfg, dict) or 'type' not in cfg:
        raise ValueError(f"{field}={cfg!r} is not a config of a part; give dict(type='{kinds[0]}', ...)")
    name = type_name(cfg)
    part = cfg['type']
    cfg = {key: value for key, value in cfg.items() if key not in ('type', '_scope_')}
    if isinstance(part, str):
        bare = name.removeprefix(f'{MODELS.scope}.')
        found = MODELS.get(bare) if bare in kinds or '.' in bare else None
        if found is None:
            raise unknown_name(f'{field}.type', part, kinds)
        part = found
    known = inspect.signature(part).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for key in cfg:
        # What mmcds gives is not the user's to give as well.
        if key in kwargs or (key not in known and not takes_any):
            raise unknown_name(f'{field}: argument', key, [name for name in known if name not in kwargs])
    return part(**{key: value for key, value in kwargs.items() if key in known or takes_any}, **cfg)
