"""Inventory of the installed packages."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Importing everything takes seconds; a process that has hung, on a driver say, must not hang the doctor.
TIMEOUT = 300
MM_PACKAGES = ('mmengine', 'mmcv', 'mmdet', 'mmpretrain')
#: Import name -> distributions that provide it, in the order in which they are imported and shown.
PROVIDERS = {
    'numpy': ['numpy'],
    'cv2': [f'opencv{contrib}-python{headless}' for contrib in ('', '-contrib') for headless in ('', '-headless')],
    **{name: [name] for name in ('torch', 'torchvision', 'pycocotools', 'matplotlib', 'kornia')},
    'mmengine': ['onedl-mmengine', 'mmengine', 'mmengine-lite'],
    'mmcv': ['onedl-mmcv', 'mmcv', 'mmcv-full', 'mmcv-lite'],
    'mmcv.ops': [],
    'mmdet': ['onedl-mmdetection', 'mmdet'],
    'mmpretrain': ['onedl-mmpretrain', 'mmpretrain'],
    'mmcds': ['mmcds'],
}


@dataclass
class Package:
    """One importable package: versions, distributions, the error of its import, and facts."""

    name: str
    distributions: dict[str, str] = field(default_factory=dict)
    version: str = ''
    error: str = ''
    missing: bool = False
    note: str = ''
    cuda: str = ''
    gpus: list[str] = field(default_factory=list)
    operators: str = ''

    @property
    def label(self) -> str:
        """Version to show: the package's own, which names torch's build, or else that of its distributions."""
        return self.version or ', '.join(sorted(set(self.distributions.values())))


@dataclass
class Inventory:
    """All packages by import name, and the unmet requirements among their distributions."""

    packages: dict[str, Package]
    #: (distribution, what it requires, version that is installed instead).
    conflicts: list[tuple[str, str, str]] = field(default_factory=list)
    python: str = field(default_factory=platform.python_version)
    venv: str = field(default_factory=lambda: sys.prefix if sys.prefix != sys.base_prefix else '')

    @property
    def stack(self) -> str:
        """``'default'``, ``'upstream'``, ``'none'``, or ``'MIXED'`` if distributions of both are installed."""
        found = {stack_of(each) for name in MM_PACKAGES for each in self.packages[name].distributions}
        return 'MIXED' if len(found) > 1 else found.pop() if found else 'none'


def stack_of(distribution: str) -> str:
    """The stack that a distribution of an mm package belongs to."""
    return 'default' if distribution.startswith('onedl-') else 'upstream'


def collect() -> Inventory:
    """Collect the inventory of this interpreter."""
    packages = {found['name']: Package(**found) for found in _probe(list(PROVIDERS))}
    versions: dict[str, str] = {}
    requirements: dict[str, list[str]] = {}
    for name, providers in PROVIDERS.items():
        for each in providers:
            with suppress(importlib.metadata.PackageNotFoundError):
                versions[each] = packages[name].distributions[each] = importlib.metadata.version(each)
                requirements[each] = importlib.metadata.requires(each) or []
    return Inventory(packages, _conflicts(requirements, versions))


def _conflicts(requirements: dict[str, list[str]], installed: dict[str, str]) -> list[tuple[str, str, str]]:
    """Unmet requirements among these distributions; `pip check` lists those of all others."""
    try:
        from packaging.requirements import Requirement
    except ImportError:  # mmengine needs packaging, so its import fails and is reported
        return []
    found = []
    for name, texts in requirements.items():
        for each in map(Requirement, texts):
            version = installed.get(re.sub(r'[-_.]+', '-', each.name).lower())
            applies = each.marker is None or each.marker.evaluate({'extra': ''})
            if version and applies and not each.specifier.contains(version, prereleases=True):
                found.append((name, f'{each.name}{each.specifier}', version))
    return found


def _probe(names: list[str]) -> list[dict[str, Any]]:
    """Import the packages in a subprocess. After a package that crashes it, go on in a new one."""
    source = Path(__file__).with_name('imports.py').read_text(encoding='utf-8')
    results: list[dict[str, Any]] = []
    while names:
        command = [sys.executable, '-W', 'ignore', '-c', source, *names]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
            output, last = done.stdout, done.stderr.decode().strip().splitlines()[-1:]
            end = ': '.join([f'the import ended the interpreter with status {done.returncode}', *last])
        except subprocess.TimeoutExpired as error:
            output, end = error.stdout or b'', f'the import was not over after {TIMEOUT} s'
        found = [json.loads(line) for line in output.decode().splitlines() if line.endswith('}')]
        if len(found) < len(names):
            found.append({'name': names[len(found)], 'error': end})
        results += found
        names = names[len(found) :]
    return results
