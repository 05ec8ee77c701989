"""The supervision of a config's CDSNeck, built once and passed on."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from mmcds.models.necks import build_cds_neck, build_dsn_neck
from mmcds.models.supervision import ATTRIBUTE, Supervision
from mmcds.models.taps import output_channels, resolve_taps
from mmcds.utils.errors import unknown_name
from mmcds.utils.type_name import type_name

NECK = 'mmcds.CDSNeck'
#: The necks that a CDSHook drives, with the functions that build them.
NECKS: dict[str, Callable[..., Any]] = {NECK: build_cds_neck, 'mmcds.DSNNeck': build_dsn_neck}


@dataclass(frozen=True)
class ResolvedCDS:
    """The supervision of a config, without its model.

    Attributes:
        kind (str): A key of :data:`NECKS`.
        supervision (Supervision): With its parts built: taps and their channels, view, sampler, projectors, loss.
    """

    kind: str
    supervision: Supervision

    @classmethod
    def of(cls, neck: Mapping[str, Any], builder: Callable[..., nn.Module] | None = None) -> 'ResolvedCDS':
        """Build the supervision of a neck's config, without the stock neck.

        Args:
            neck (Mapping[str, Any]): Config of a CDSNeck or DSNNeck.
            builder (Callable, optional): The function of its ``type``. Defaults to None: looked up in :data:`NECKS`.

        Raises:
            ValueError: If an argument is not known, or a tap, a part or one of their arguments is wrong.
        """
        kind = type_name(neck)
        builder = builder or NECKS[kind]
        known = list(inspect.signature(builder).parameters)
        given = {key: value for key, value in neck.items() if key not in ('type', '_scope_')}
        for key in given:
            if key not in known:
                raise unknown_name(f'{kind}: argument', key, known)
        stock = given.pop('neck', None)
        channels = given.pop('channels', None) or output_channels(stock)
        # Checked here, where the message can name the stock neck.
        resolve_taps(given.get('taps'), stock, channels)
        supervision: Supervision = getattr(builder(neck=None, channels=channels, **given), ATTRIBUTE)
        return cls(kind, supervision)


def supervision_alone(builder: Callable[..., nn.Module], neck: Mapping[str, Any]) -> Supervision:
    """Older form of :meth:`ResolvedCDS.of`."""
    return ResolvedCDS.of(neck, builder).supervision
