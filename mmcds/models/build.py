"""Building the parts of the contrast from their configs."""

import inspect
from typing import Any

from mmcds.registry import MODELS
from mmcds.utils.errors import unknown_name
from mmcds.utils.type_name import type_name


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
