"""The commands that mend things, one shell line each."""

from __future__ import annotations

import re

from .inventory import Inventory
from .packages import STACKS, pin

PIP = 'python -m pip install'


def build_mmcv(inventory: Inventory, cuda: bool | None = None) -> str:
    """Compile mmcv's operators for the torch that is installed.

    Without ``--no-build-isolation`` pip builds where there is no torch, and without
    ``--no-cache-dir`` it takes the wheel without operators that such a build has left in its cache.

    Args:
        inventory (Inventory): Says for which stack and, by its torch, whether for CUDA.
        cuda (bool, optional): Whether for CUDA, whatever torch is. Defaults to None.
    """
    requirement = pin('mmcv', inventory.stack)
    cuda = is_cuda(inventory) if cuda is None else cuda
    pip = f'{PIP} --force-reinstall --no-deps --no-cache-dir --no-build-isolation'
    return f'MMCV_WITH_OPS=1 FORCE_CUDA={int(cuda)} {pip} --no-binary {requirement.partition("==")[0]} {requirement}'


def install(name: str, inventory: Inventory) -> str:
    """Install one package in the version that its stack was tested with."""
    if name == 'mmcv':
        return build_mmcv(inventory)
    return f"{PIP} --no-build-isolation '{pin(name, inventory.stack)}'"


def install_mmcds() -> str:
    """Install mmcds itself, in its repository."""
    return f'{PIP} --no-build-isolation --no-deps -e .'


def set_up(inventory: Inventory, venv: str = '') -> str:
    """Make a whole environment of the stack that there is, or of the default one."""
    stack = inventory.stack if inventory.stack in STACKS else 'default'
    return (
        'tools/setup_env.sh' + (f' --stack {stack}' if stack != 'default' else '') + (f' --venv {venv}' if venv else '')
    )


def is_cuda(inventory: Inventory) -> bool:
    """Whether the installed torch is a CUDA build."""
    return bool(inventory.packages['torch'].facts.get('cuda'))


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version without trailing zeros, so that ``1.0`` and ``1.0.0`` are equal."""
    numbers = re.match(r'\d+(\.\d+)*', version)
    parts = [int(part) for part in numbers[0].split('.')] if numbers else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
