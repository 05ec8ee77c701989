"""Names of the types in a config, in whichever form they are written."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from mmcds import registry as registries

#: The registries of mmcds.
OURS = [value for value in vars(registries).values() if isinstance(value, registries.Registry)]


def type_name(part: Any) -> str:
    """Name of what a part of a config builds, with the scope where it has one.

    Args:
        part: A part of a config. Its ``type`` may be a name ('CDSNeck' with ``_scope_``, 'mmcds.CDSNeck'), the path
            of an import ('mmcds.models.build_cds_neck', as pure-Python configs are written to files), or the class or
            function itself, as in pure-Python configs.

    Returns:
        str: 'mmcds.CDSNeck' for whatever is registered in mmcds; for others the name as it stands, or
        '<package>.<name>' for an object; '' where there is no ``type``.

    Raises:
        ValueError: If the path of an import in mmcds leads to nothing, or ``type`` is neither a name nor an object
            with one.
    """
    kind = part.get('type') if isinstance(part, Mapping) else None
    if isinstance(kind, str):
        if '.' not in kind:
            return f'{part["_scope_"]}.{kind}' if part.get('_scope_') else kind
        if kind.count('.') == 1 or not kind.startswith(f'{registries.SCOPE}.'):
            return kind
        module, _, name = kind.rpartition('.')
        try:
            kind = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ValueError(f'type={kind!r} cannot be imported: {error}; {_nearest(name)}') from error
    if kind is None:
        return ''
    for name, known in _registered():
        if known is kind:
            return f'{registries.SCOPE}.{name}'
    if not hasattr(kind, '__name__'):
        raise ValueError(f"type={kind!r} is neither a name nor a class; give one, such as '{registries.SCOPE}.CDSNeck'")
    return f'{kind.__module__.partition(".")[0]}.{kind.__name__}'


def _registered() -> Iterator[tuple[str, Any]]:
    """Names and objects of all registries of mmcds."""
    for registry in OURS:
        # Registered objects are imported by the first look-up only.
        registry.import_from_location()
        yield from registry.module_dict.items()


def _nearest(name: str) -> str:
    names = get_close_matches(name, [known for known, _ in _registered()], n=3, cutoff=0.5)
    listed = ', '.join(f'{registries.SCOPE}.{known}' for known in names)
    return f'nearest: {listed}' if names else f"give a registered name, such as '{registries.SCOPE}.CDSNeck'"


def bare_name(part: Any) -> str:
    """The name of what a part of a config builds, without scope: 'RetinaNet'."""
    return type_name(part).rpartition('.')[2]


def bare_kind(kind: Any) -> str:
    """The name of a ``type``, without scope; it may be a name or the class: 'mmdet.Resize' -> 'Resize'."""
    return kind.__name__ if hasattr(kind, '__name__') else str(kind).rpartition('.')[2]
