"""Base classes of the parts of the contrast, and building a part from its config."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcds.registry import MODELS
from mmcds.utils.errors import unknown_name
from mmcds.utils.type_name import type_name

from .step_data import Samples, Targets, ViewPair


class View(nn.Module, ABC):
    """Base class of views: makes the second view of a batch, or none.

    Attributes:
        single (bool): Whether there is no second view: both views of the pair are the first, and each sample is
            embedded once. Defaults to False.
        scale (float): Side of the second view relative to the first. Defaults to 1.0.
        can_augment (bool): Whether :meth:`size_of`, :meth:`augment` and :meth:`describe` are implemented. Packing small
            second views on canvases (``concat=True`` with ``scale <= 0.5``) needs them. Defaults to False.
    """

    single = False
    scale = 1.0
    can_augment = False

    @abstractmethod
    def forward(self, inputs: Tensor, data_samples: Any, preprocessor: nn.Module) -> tuple[Tensor | None, ViewPair]:
        """Make the second view, and describe both views.

        Random numbers come from torch's global generators, which mmcds seeds before and restores after.

        Args:
            inputs (Tensor): The first view as the model gets it (N, C, H, W), normalised and padded.
            data_samples: What the model gets with them, in the format of its package: a list of N data samples, or the
                dict of mmyolo. :func:`~mmcds.models.data_samples.read_targets` reads any.
            preprocessor (nn.Module): The model's data preprocessor.

        Returns:
            tuple[Tensor | None, ViewPair]: The second view (N, C, H', W') in the format of ``inputs``, None if there is
            none; geometry and annotations of both views.
        """

    def size_of(self, size: Sequence[int]) -> tuple[int, int]:
        """(H', W') of the second view of an input (H, W), in pixels. Called only if ``can_augment``."""
        raise NotImplementedError(f'{type(self).__name__}.size_of')

    def augment(self, inputs: Tensor, image_sizes: Tensor, preprocessor: nn.Module, size: tuple[int, int]) -> Tensor:
        """The second view alone (N, C, H', W'), of a given ``size`` (H', W'). Called only if ``can_augment``.

        ``image_sizes`` (N, 2) are (h, w) of each image in ``inputs``, without its padding.
        """
        raise NotImplementedError(f'{type(self).__name__}.augment')

    def describe(self, inputs: Tensor, targets: Targets, second_size: tuple[int, int]) -> ViewPair:
        """Geometry and annotations of both views, the second of size (H', W'). Called only if ``can_augment``."""
        raise NotImplementedError(f'{type(self).__name__}.describe')


class Sampler(ABC):
    """Base class of samplers: chooses the samples of a step and crops their features from the feature maps.

    Attributes:
        indexed_by_image (bool): Whether ``rois``, or their first column, are the index of the image in the batch. If
            both views are one batch, ``crop`` is then called once for both. Defaults to False.
        in_pixels (bool): Whether ``rois`` are (image, x, y) or (image, x1, y1, x2, y2), in pixels of the view's input.
            Required for packed second views. Defaults to False.
        needs_map (bool): Whether :meth:`sample` calls ``views.between()``. Configs are checked for it. Defaults to
            False.
    """

    indexed_by_image = False
    in_pixels = False
    needs_map = False

    @abstractmethod
    def sample(self, views: ViewPair) -> Samples:
        """Choose the samples. Called once per step.

        Random numbers come from torch's global generators, which mmcds seeds before and restores after.

        Args:
            views (ViewPair): Geometry and annotations of the batch.

        Returns:
            Samples: M samples, located in both views, M >= 0.
        """

    @abstractmethod
    def crop(self, feature: Tensor, rois: Any, input_size: tuple[int, int]) -> Tensor:
        """Crop the features of the samples from one feature map. Called for each tap and view.

        Args:
            feature (Tensor): A tap's features of one view (N, C, h, w), floating.
            rois (Tensor): ``Samples.rois`` of this view.
            input_size (tuple[int, int]): (H, W) of the view's input, in pixels.

        Returns:
            Tensor: (M, C, h', w'), connected to the graph of ``feature`` also for M = 0.
        """


class Projector(BaseModule):
    """Base class of projectors: maps crops to embeddings. One per tap, in training only.

    It is built as ``Projector(in_channels=..., steps=..., **cfg)``; an argument that it does not take is not passed.
    ``in_channels`` is the number of channels of the tap, ``steps`` the number of later outputs of the same source.

    Attributes:
        out_channels (int): Width D of the embedding.
        row_by_row (bool): Whether each row of the output depends on its own row of the input only; batch statistics
            break this. The crops of both views then share one call. A subclass that overrides ``forward`` has to set
            it again. Defaults to False.
    """

    out_channels: int
    row_by_row = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if 'forward' in vars(cls) and 'row_by_row' not in vars(cls):
            cls.row_by_row = False

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(M, in_channels, h, w) -> (M, out_channels), float32, not normalised."""


class Loss(nn.Module, ABC):
    """Base class of losses between embeddings.

    Attributes:
        joins_taps (bool): Whether it takes the embeddings of T taps at once (T, R, D) and returns a loss for each (T,),
            so that they share kernels. A subclass that overrides ``forward`` has to set it again. Defaults to False.
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

        A further argument ``weights`` (R,) gets the weight of each row as a positive of others, if the sampler sets
        weights (``jitter_weighted``).

        Args:
            embeddings (Tensor): L2-normalised rows (R, D), of one view or of both, float32 or float64.
            labels (Tensor): (R,) int64, -1 where there is no label.
            ids (Tensor): (R,) int64, >= 0; equal for embeddings of one object.
            is_anchor (Tensor): (R,) bool; the others are negatives only.
            queue (tuple[Tensor, Tensor], optional): Further keys (Q, D) and their labels (Q,). Defaults to None.

        Returns:
            Tensor: Scalar >= 0. If there is nothing to compare, a 0 that is connected to the graph.
        """


#: Kinds of parameters that have a name of their own.
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def build_part(field: str, cfg: Any, kinds: tuple[str, ...], **kwargs: Any) -> Any:
    """Build a part from its config, independently of the default scope.

    Args:
        field (str): The config field, for messages (``'neck.projector'``).
        cfg (dict): With ``type``: one of ``kinds``, or the name of the user's own registered
            part with its scope (``'myproject.MySampler'``).
        kinds (tuple[str, ...]): The names of mmcds' own parts of this kind.
        **kwargs: Arguments that mmcds passes to the part.

    Returns:
        The part.

    Raises:
        ValueError: If ``cfg`` has no ``type``, its type is not known, or an argument is not known.
    """
    if not isinstance(cfg, dict) or cfg.get('type') is None:
        raise ValueError(f"{field}={cfg!r} is not a config of a part; give dict(type='{kinds[0]}', ...)")
    name = type_name(cfg)
    part = cfg['type']
    # MMEngine leaves _delete_ where the inherited config has no such part.
    cfg = {key: value for key, value in cfg.items() if key not in ('type', '_scope_', '_delete_')}
    if isinstance(part, str):
        bare = name.removeprefix(f'{MODELS.scope}.')
        registered = MODELS.get(bare) if bare in kinds or '.' in bare else None
        package = bare.partition('.')[0]
        if registered is None and '.' in bare and find_spec(package) is None:
            raise ValueError(
                f'{field}.type={part!r}: there is no package {package!r} to import; add the folder that it lies in to '
                f"PYTHONPATH, and '{package}' to custom_imports"
            )
        if registered is None:
            raise unknown_name(f'{field}.type', part, kinds)
        part = registered
    known, takes_any = _arguments_of(part)
    for key in cfg:
        # Arguments that mmcds passes cannot be set in the config.
        if key in kwargs or (key not in known and not takes_any):
            raise unknown_name(f'{field}: argument', key, [name for name in known if name not in kwargs])
    return part(**{key: value for key, value in kwargs.items() if key in known or takes_any}, **cfg)


def _arguments_of(part: Any) -> tuple[list[str], bool]:
    """Names of the arguments of a part, and whether it takes any others.

    A class with ``**kwargs`` is taken to hand them on to its parents, as subclasses do.
    """
    if inspect.isclass(part):
        classes = [cls for cls in part.__mro__ if '__init__' in vars(cls) and cls not in (nn.Module, object)]
        functions = [vars(cls)['__init__'] for cls in classes]
    else:
        functions = [part]
    names: dict[str, None] = {}
    takes_any = False
    for function in functions:
        parameters = [each for each in inspect.signature(function).parameters.values() if each.name != 'self']
        names.update({each.name: None for each in parameters if each.kind in NAMED})
        takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
        if not takes_any:
            break
    return list(names), takes_any
