"""Resolves the names of taps in a config to taps with their channels."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmcds.utils.errors import check_count, unknown_name

from .step_data import Tap

SOURCES = ('backbone', 'neck')
MODULES = 'modules'


def output_channels(neck: Any) -> dict[str, list[int]]:
    """Channels of the outputs of backbone and neck, read from the neck's config.

    Args:
        neck (dict | list[dict] | None): A stock neck's config. In a list, the first gives the
            input channels and the last the output channels.

    Returns:
        dict[str, list[int]]: For 'backbone' and 'neck'; an empty list if the config does not give them.

    Raises:
        ValueError: If it is neither a config, a list of configs nor None.
    """
    chain = [part for part in (neck if isinstance(neck, Sequence) and not isinstance(neck, str) else [neck]) if part]
    if not all(isinstance(part, Mapping) for part in chain):
        raise ValueError(f"neck.neck={neck!r} is not a config; give dict(type='FPN', ...), a list of such, or None")
    if not chain:
        return {'backbone': [], 'neck': []}

    def as_list(value: Any) -> list[int]:
        return [int(v) for v in value] if isinstance(value, Sequence) else []

    backbone = as_list(chain[0].get('in_channels'))
    out, count = chain[-1].get('out_channels'), chain[-1].get('num_outs', chain[-1].get('num_levels'))
    if isinstance(out, int):
        neck_out = [out] * int(count or len(as_list(chain[-1].get('in_channels'))))
    else:
        neck_out = as_list(out)
    return {'backbone': backbone, 'neck': neck_out}


def check_channels(channels: Any) -> None:
    """Raise on ``channels`` of a CDSNeck that are not of the documented form.

    Raises:
        ValueError: If it is no dict, a key is not known, or a value does not hold whole numbers.
    """
    if not isinstance(channels, Mapping):
        raise ValueError(f'neck.channels={channels!r} is not a dict; give dict(backbone=[...], neck=[...])')
    for key, widths in channels.items():
        if key not in (*SOURCES, MODULES):
            raise unknown_name('neck.channels: argument', key, (*SOURCES, MODULES))
        if key == MODULES and not isinstance(widths, Mapping):
            raise ValueError(f"neck.channels.{key}={widths!r} is not a dict; give {{'backbone.layer2': 128, ...}}")
        if key != MODULES and (not isinstance(widths, Sequence) or isinstance(widths, str)):
            raise ValueError(f'neck.channels.{key}={widths!r} is not a list; give the width of each output: [256, 512]')
        for width in widths.values() if isinstance(widths, Mapping) else widths:
            check_count(f'neck.channels.{key}', width, 0)


def resolve_taps(names: Sequence[str] | None, neck: Any, channels: Mapping[str, Any] | None = None) -> list[Tap]:
    """Check the names of the taps and look up their channels.

    Args:
        names (Sequence[str], optional): For example ``['backbone.2', 'neck.0']``, or modules inside the backbone,
            ``['backbone.layer2']``; None is every module in ``channels``, else every output of the backbone that
            is a feature map.
        neck (dict | list[dict] | None): The stock neck's config.
        channels (Mapping[str, Any], optional): Channels of all outputs of 'backbone'
            and 'neck', if the neck's config does not give them; 0 for an output that is no feature map. Under
            'modules', the channels of modules inside the backbone by name, in the order of depth. Defaults to None.

    Raises:
        ValueError: If there is no tap, one is not known or named twice, or its channels are not known or of another
            form.
    """
    if channels is not None:
        check_channels(channels)
    given = dict(channels or {})
    modules: dict[str, int] = dict(given.pop(MODULES, {}))
    known = {**output_channels(neck), **{key: list(value) for key, value in given.items()}}
    if names is None and modules:
        names = list(modules)
    elif names is None:
        names = [f'backbone.{i}' for i, width in enumerate(known['backbone']) if width] or ['backbone.0']
    if not isinstance(names, Sequence) or isinstance(names, str) or not names:
        raise ValueError(f"neck.taps={names!r} names no tap; give a list such as ['backbone.2', 'backbone.3']")
    valid = [f'{source}.{i}' for source in SOURCES for i, width in enumerate(known.get(source, [])) if width]
    valid += list(modules)
    taps = []
    order = list(modules)
    for name in names:
        if name in modules:
            place = order.index(name)
            taps.append(Tap('module', place, int(modules[name]), len(order) - 1 - place, name))
            continue
        match = re.fullmatch(r'(backbone|neck)\.(\d+)', str(name))
        if match is None:
            remedy = f"a module inside the backbone also needs its width, channels=dict(modules={{'{name}': ...}})"
            remedy = remedy if str(name).startswith('backbone.') else ''
            raise unknown_name('neck.taps', name, valid or ['backbone.<output>', 'neck.<output>'], remedy)
        source, index = match[1], int(match[2])
        widths = known.get(source, [])
        if not widths:
            raise ValueError(
                f'neck.taps={name!r}: the channels of the {source} are not in the config of the neck '
                f'{neck_name(neck)}; add channels=dict({source}=[...]), one per output, to the CDSNeck, '
                'or let mmcds.add_cds read them'
            )
        if index >= len(widths) or not widths[index]:
            raise unknown_name('neck.taps', name, valid, f'the {source} has {len(widths)} outputs')
        taps.append(Tap(source, index, widths[index], len(widths) - 1 - index))
    if len(set(taps)) < len(taps):
        raise ValueError(f'neck.taps={list(names)} names a tap twice; name each once')
    return taps


def neck_name(neck: Any) -> str:
    """The types in a neck's config, for messages."""
    chain = neck if isinstance(neck, Sequence) and not isinstance(neck, str) else [neck]
    return ' + '.join(str(part.get('type')) if part else 'None' for part in chain)
