"""Converts checkpoints of the paper's released code to those of MMPretrain and mmcds, and back."""

import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from mmcds.engine.weights import CDS_PREFIX
from mmcds.utils.checkpoint_files import check_checkpoint, check_written, renamed_last
from mmcds.utils.errors import unknown_name

#: What a checkpoint can be written as; the released names are the form in between.
TARGETS = ('cds', 'mmpretrain', 'backbone', 'released')
#: Under these keys training scripts put the weights beside other things.
_WRAPPERS = ('state_dict', 'model', 'net')
#: What torch writes a tensor with; its storages are torch.load's own business.
_TENSORS = {
    ('collections', 'OrderedDict'),
    *(('torch._utils', f'_rebuild_{what}') for what in ('tensor', 'tensor_v2', 'parameter')),
}
_NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
_AUXILIARY = re.compile(r'auxiliary(\d+)\.(\d+)\.op\.(\d+)\.(\w+)')
_PROJECTOR = re.compile(r'neck\.cds\.projectors\.backbone(\d+)\.convs\.(\d+)\.op\.(\d+)\.(\w+)')


def convert_checkpoint(source: str | Path, target: str | Path, to: str) -> tuple[int, int]:
    """Write a checkpoint with the names of another code base. The values do not change.

    The file is written beside the target and then renamed: an interrupted conversion leaves nothing
    half-written. All forms but 'released', which is a bare state dict, have 'meta' and 'state_dict'.

    Args:
        source (str | Path): A checkpoint of the released code, of mmcds or of an mmpretrain ResNet.
        target (str | Path): The file to write.
        to (str): 'cds': a classifier with a CDSNeck and SepConv projectors. 'mmpretrain': the same without
            the projectors. 'backbone': the backbone's, without that prefix. 'released': the released code's names.

    Returns:
        tuple[int, int]: Number of tensors written and left behind.

    Raises:
        FileNotFoundError, ValueError: If the source is missing, holds more than weights, or its keys do
            not make the network; or ``to`` is not known.
    """
    if to not in TARGETS:
        raise unknown_name('to', to, TARGETS)
    check_written('target', target, {'the checkpoint itself': source})
    found = load_weights(source)
    try:
        weights = convert_state_dict(found, to)
    except ValueError as error:
        raise ValueError(f'checkpoint={str(source)!r}: {error}') from error
    content = weights if to == 'released' else {'meta': {}, 'state_dict': weights}
    with renamed_last(target) as partial:
        torch.save(content, partial)
    return len(weights), len(found) - len(weights)


class _Other(dict):
    """Placeholder for objects in a checkpoint that are no tensors, such as a log; it keeps the items of a dict."""

    def __new__(cls, *args: Any, **kwargs: Any) -> '_Other':
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        pass

    def __call__(self, *args: Any) -> '_Other':
        return self

    def append(self, item: Any) -> None:
        """Ignore the items of a list or a queue."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    dump_patches = False  # torch asks this of a pickled module of before 1.6


class _Tensors(pickle.Unpickler):
    """Unpickler that builds tensors and plain containers and calls nothing else that a file names.

    ``weights_only=True`` refuses a checkpoint of MMEngine's Runner for the histories of losses in it.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _TENSORS:
            return super().find_class(module, name)
        return _Other


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint. No code runs that the file names.

    Args:
        path (str | Path): It may stand under 'state_dict', 'model' or 'net', its names behind 'module.'.

    Returns:
        dict[str, Tensor]: On the CPU, without 'module.'.

    Raises:
        FileNotFoundError, ValueError: If it is missing, cut short, or holds no weights.
    """
    check_checkpoint(path)
    reader = SimpleNamespace(
        __name__='pickle', Unpickler=_Tensors, load=lambda *args, **kw: _Tensors(*args, **kw).load()
    )
    content = torch.load(path, map_location='cpu', pickle_module=reader, weights_only=False)
    while isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        held = (
            ', '.join(str(key) for key in list(content)[:5]) if isinstance(content, Mapping) else type(content).__name__
        )
        raise ValueError(
            f'checkpoint={str(path)!r} holds no state dict ({held or "nothing"}); expected tensors by their names, '
            f'bare or under {", ".join(map(repr, _WRAPPERS))}'
        )
    weights = dict(content)
    while all(key.startswith('module.') for key in weights):
        weights = {key.removeprefix('module.'): value for key, value in weights.items()}
    return weights


def convert_state_dict(weights: Mapping[str, Tensor], to: str) -> dict[str, Tensor]:
    """Rename the weights of a network.

    Args:
        weights (Mapping[str, Tensor]): In either form: conv1, bn1, layer1..4, auxiliary1..3, fc (released
            code), or backbone, neck.cds.projectors, head.fc (mmcds).
        to (str): As for :func:`convert_checkpoint`.

    Returns:
        dict[str, Tensor]: The same tensors under the new names, in their order.

    Raises:
        ValueError: If a key is unknown, or missing for what is to be written.
    """
    renamed = [(_released_name(key), value) for key, value in weights.items()]
    heads = to in ('cds', 'released')
    unknown = [key for key in weights if key.startswith('neck.cds.projectors') and not _PROJECTOR.fullmatch(key)]
    if heads and unknown:
        raise ValueError(
            f'{_few(unknown)}: these projectors are no SepConvs, which the released code has; '
            'write it with --to mmpretrain, which leaves projectors out'
        )
    # Queues and other state of training have no place in the released code's network.
    released = {key: value for key, value in renamed if not key.startswith(CDS_PREFIX)}
    _check_keys(released, heads=heads, classifier=to != 'backbone')
    if to == 'released':
        return released
    converted = {_mmcds_name(key): value for key, value in released.items()}
    kept = {'cds': ('',), 'mmpretrain': ('backbone.', 'head.'), 'backbone': ('backbone.',)}[to]
    found = {key: value for key, value in converted.items() if key.startswith(kept)}
    # Bare, as tools/export.py --backbone writes it: what init_cfg=dict(type='Pretrained') loads by itself.
    return {key.removeprefix('backbone.'): value for key, value in found.items()} if to == 'backbone' else found


def has_small_stem(weights: Mapping[str, Tensor]) -> bool:
    """Whether the first convolution is CIFAR's 3x3, which fits no detector's ResNet."""
    first = weights.get('backbone.conv1.weight', weights.get('conv1.weight'))
    return first is not None and first.shape[-1] == 3


def _released_name(key: str) -> str:
    """The released code's name of one key of either form; other keys as they are."""
    projector = _PROJECTOR.fullmatch(key)
    if projector:
        stage, conv, part, name = projector.groups()
        return f'auxiliary{int(stage) + 1}.{conv}.op.{part}.{name}'
    if key.startswith('head.fc.'):
        return key.removeprefix('head.')
    return key.removeprefix('backbone.').replace('.shortcut.', '.downsample.')


def _mmcds_name(key: str) -> str:
    """The mmcds name of one key of the released code."""
    auxiliary = _AUXILIARY.fullmatch(key)
    if auxiliary:
        stage, conv, part, name = auxiliary.groups()
        return f'neck.cds.projectors.backbone{int(stage) - 1}.convs.{conv}.op.{part}.{name}'
    return f'head.{key}' if key.startswith('fc.') else f'backbone.{key}'


def _check_keys(found: Mapping[str, Tensor], heads: bool, classifier: bool) -> None:
    """Raise on unknown and on missing keys."""
    auxiliary, backbone, fc = _auxiliary_keys(), _backbone_keys(found), {'fc.weight', 'fc.bias'}
    unknown = [key for key in found if key not in backbone | auxiliary | fc]
    if unknown:
        raise ValueError(
            f"{_few(unknown)} are no names of the released code's ResNets (conv1, bn1, layer1..4, auxiliary1..3, fc) "
            "nor of mmcds's (backbone.*, neck.cds.projectors.*, head.fc.*); rename or remove them"
        )
    needed = backbone | (auxiliary if heads else set()) | (fc if classifier else set())
    # Files of torch before 0.4.1 do not count batches, and loading does not ask for it.
    missing = sorted(key for key in needed if key not in found and not key.endswith('num_batches_tracked'))
    if missing:
        remedy = 'take a checkpoint of the whole network'
        if all(key in auxiliary for key in missing):
            remedy = 'it was trained without contrastive heads: write it with --to mmpretrain or backbone'
        elif all(key in fc for key in missing):
            remedy = 'it has no classifier: write it with --to backbone'
        raise ValueError(f'{_few(missing)} are missing; {remedy}')


def _backbone_keys(found: Iterable[str]) -> set[str]:
    """All keys of the ResNet whose blocks are those of ``found``."""
    found = set(found)
    blocks = {(int(m[1]), int(m[2])) for key in found if (m := re.match(r'layer([1-4])\.(\d+)\.', key))}
    three = any(re.match(r'layer\d\.\d+\.conv3\.', key) for key in found)
    keys = {'conv1.weight', *(f'bn1.{name}' for name in _NORM)}
    for layer in range(1, 5):
        # Numbered without a gap: what lacks in between is missing.
        for block in range(1 + max((b for stage, b in blocks if stage == layer), default=0)):
            base = f'layer{layer}.{block}.'
            for i in range(1, 4 if three else 3):
                keys |= {f'{base}conv{i}.weight', *(f'{base}bn{i}.{name}' for name in _NORM)}
            shortcut = any(key.startswith(f'{base}downsample.') for key in found)
            if shortcut or (block == 0 and (layer > 1 or three)):
                keys |= {f'{base}downsample.0.weight', *(f'{base}downsample.1.{name}' for name in _NORM)}
    return keys


def _auxiliary_keys() -> set[str]:
    """All keys of the heads: (4 - i) SepConvs behind stage i."""
    keys = set()
    for stage in range(1, 4):
        for conv in range(4 - stage):
            base = f'auxiliary{stage}.{conv}.op.'
            keys |= {f'{base}{part}.weight' for part in (0, 1, 4, 5)}
            keys |= {f'{base}{part}.{name}' for part in (2, 6) for name in _NORM}
    return keys


def _few(keys: list[str]) -> str:
    more = f' and {len(keys) - 3} more' if len(keys) > 3 else ''
    return f'keys {", ".join(map(repr, keys[:3]))}{more}'
