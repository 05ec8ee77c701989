"""Writes the pages of the reference that are made from the code: fields of a config, and command lines."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOOLS = (
    'train', 'test', 'export', 'convert', 'report', 'make_shapes', 'analysis/views', 'analysis/curves',
    'analysis/compare', 'analysis/detections', 'analysis/embeddings', 'analysis/features', 'analysis/probe',
    'analysis/reliability',
)  # fmt: skip


def write_reference_pages(folder: Path) -> None:
    """Write ``config_fields.md`` and ``command_lines.md`` into ``folder``, if they differ from what is there."""
    for name, text in (('config_fields', config_fields()), ('command_lines', command_lines())):
        path = folder / f'{name}.md'
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


def config_fields() -> str:
    """The fields of the neck, its parts and the hooks, with defaults, from signatures and docstrings."""
    from mmcds import models
    from mmcds.config.schedule import ContrastSchedule
    from mmcds.engine import hooks

    groups: dict[str, dict[str, Callable[..., Any]]] = {
        'Neck': {'CDSNeck': models.build_cds_neck, 'DSNNeck': models.build_dsn_neck},
        'Views': {name: getattr(models, name) for name in ('PhotometricView', 'SingleView', 'DataloaderView')},
        'Samplers': {
            name: getattr(models, name) for name in ('InstanceSampler', 'ImageSampler', 'PixelSampler', 'DenseSampler')
        },
        'Projectors': {name: getattr(models, name) for name in ('MLPProjector', 'SepConvProjector')},
        'Losses': {name: getattr(models, name) for name in ('ContrastiveLoss', 'DistillationLoss')},
        'Schedule': {'schedule of the CDSHook': ContrastSchedule},
        'Hooks': {
            name: getattr(hooks, name) for name in ('CDSHook', 'DiagnosticsHook', 'DistillHook', 'EpochSeedHook')
        },
    }
    parts = ['# Fields of a config', 'Made from the code. [Choosing](configuration.md) says which to change.']
    for title, members in groups.items():
        parts.append(f'## {title}')
        for name, member in members.items():
            lines = [f'| `{field}` | {default} | {meaning} |' for field, default, meaning in fields_of(member)]
            table = ['| field | default | meaning |', '|---|---|---|', *lines] if lines else ['It has no fields.']
            parts += [f'### {name}', '\n'.join(table)]
    return '\n\n'.join(parts) + '\n'


def fields_of(member: Callable[..., Any]) -> list[tuple[str, str, str]]:
    """Name, default and meaning of each argument that a config sets.

    Raises:
        ValueError: If the docstring does not describe an argument.
    """
    meanings = described(inspect.getdoc(member) or '')
    rows = []
    for name, parameter in inspect.signature(member).parameters.items():
        # What CDSNeck gives to its parts is no field. MMEngine's init_cfg is described there.
        if name in ('self', 'in_channels', 'steps', 'widths', 'init_cfg') or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            continue
        if name not in meanings:
            raise ValueError(f'{member.__name__}: the docstring does not describe {name!r}')
        default = 'required' if parameter.default is parameter.empty else f'`{parameter.default!r}`'
        rows.append((name, default, meanings[name]))
    return rows


def described(text: str) -> dict[str, str]:
    """Meaning of each argument in a Google docstring, as one line of Markdown."""
    section = re.search(r'^Args:\n(.*?)(?=^\S|\Z)', text, re.DOTALL | re.MULTILINE)
    found = {}
    for entry in re.split(r'^    (?=\w)', section[1] if section else '', flags=re.MULTILINE)[1:]:
        names, meaning = re.split(r'(?: \([^\n]*?\))?: ', ' '.join(entry.split()), maxsplit=1)
        # Sphinx's marks for code; a bar would end the cell of the table.
        plain = re.sub(r':\w+:`[~!]?([^`]*)`', r'`\1`', meaning).replace('``', '`').replace('|', '\\|')
        found.update(dict.fromkeys(names.split(', '), plain))
    return found


def command_lines() -> str:
    """What every tool prints with ``--help``."""
    parts = ['# Command lines', 'What each tool prints with `--help`. [Tools](tools.md) says what they are for.']
    for tool in TOOLS:
        command = [sys.executable, str(ROOT / f'tools/{tool}.py'), '--help']
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        parts += [f'## tools/{tool}.py', f'```text\n{done.stdout.rstrip()}\n```']
    return '\n\n'.join(parts) + '\n'
