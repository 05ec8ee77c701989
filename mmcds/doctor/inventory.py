"""What is installed: collected once, then only looked at."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .packages import MM_PACKAGES, PROVIDERS, stack_of

#: Importing everything takes seconds; a process that has hung, on a driver say, must not hang the doctor.
TIMEOUT = 300


@dataclass
class Package:
    """One import name.

    Args:
        name (str): The import name, such as ``'mmcv'``.
        distributions (dict[str, str]): Version of every installed distribution that provides it.
        version (str): What the package itself says, which names torch's build; '' if it does not import.
        error (str): Why it does not import, in one line; '' if it does.
        facts (dict): What :mod:`~mmcds.doctor.imports` found out beside that.
    """

    name: str
    distributions: dict[str, str] = field(default_factory=dict)
    version: str = ''
    error: str = ''
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_missing(self) -> bool:
        """Whether there is nothing to import, as opposed to something broken."""
        return bool(self.facts.get('missing'))

    @property
    def label(self) -> str:
        """Version to show: the package's own, else the distributions'."""
        return self.version or ', '.join(sorted(set(self.distributions.values())))


@dataclass
class Conflict:
    """A requirement of one installed distribution that another one does not meet.

    Args:
        by (str): The distribution that has the requirement.
        by_version (str): Its version.
        wants (str): What it wants, such as ``'<2.3.0,>=2'``.
        of (str): The distribution it wants that of.
        of_version (str): The version of that.
    """

    by: str
    by_version: str
    wants: str
    of: str
    of_version: str


@dataclass
class Inventory:
    """Everything the doctor knows.

    Args:
        packages (dict[str, Package]): By import name, all of
            :data:`~mmcds.doctor.packages.PROVIDERS` plus ``'mmcv.ops'``.
        gpus (list[str]): GPUs that the driver lists, whatever torch thinks.
        conflicts (list[Conflict]): Requirements not met among the distributions in ``packages``.
        transformers (str): Version of ``transformers``, '' if it is not installed.
        python (str): Version of the interpreter.
        venv (str): Folder of the virtual environment, '' outside of one.
    """

    packages: dict[str, Package]
    gpus: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    transformers: str = ''
    python: str = field(default_factory=platform.python_version)
    venv: str = field(default_factory=lambda: sys.prefix if sys.prefix != sys.base_prefix else '')

    @property
    def stack(self) -> str:
        """``'default'``, ``'upstream'``, ``'none'``, or ``'MIXED'`` where distributions of both are installed."""
        found = {stack_of(each) for name in MM_PACKAGES for each in self.packages[name].distributions}
        return 'MIXED' if len(found) > 1 else found.pop() if found else 'none'


def collect() -> Inventory:
    """Look at the environment of this interpreter."""
    requirements, installed = _distributions()
    packages = {name: Package(name) for name in [*PROVIDERS, 'mmcv.ops']}
    for name, providers in PROVIDERS.items():
        packages[name].distributions = {each: installed[each] for each in providers if each in installed}
    for found in _probe([*PROVIDERS, 'mmcv.ops']):
        package = packages[found.pop('name')]
        package.version, package.error = found.pop('version', ''), found.pop('error', '')
        package.facts = found
    return Inventory(
        packages=packages,
        gpus=_driver_gpus(),
        conflicts=_conflicts(requirements, installed),
        transformers=installed.get('transformers', ''),
    )


def _distributions() -> tuple[dict[str, list[str]], dict[str, str]]:
    """Requirements and version of every installed distribution."""
    requirements: dict[str, list[str]] = {}
    versions: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        try:
            name = _normalised(distribution.metadata['Name'])
        except Exception:  # A half-removed distribution leaves a folder without metadata.
            continue
        if name not in versions:  # The first on the path is the one that is imported.
            requirements[name], versions[name] = distribution.requires or [], distribution.version
    return requirements, versions


def _normalised(name: str) -> str:
    return re.sub(r'[-_.]+', '-', name).lower()


def _probe(names: list[str]) -> list[dict[str, Any]]:
    """Import the packages in a process of their own, and in another one those after one that killed it."""
    source = Path(__file__).with_name('imports.py').read_text(encoding='utf-8')
    results: list[dict[str, Any]] = []
    while names:
        process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-c', source, *names],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            output, errors = process.communicate(timeout=TIMEOUT)
            end = f'the import ended the interpreter with status {process.returncode}'
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            end = f'the import was not over after {TIMEOUT} s'
        lines = [json.loads(line) for line in output.splitlines() if line.endswith('}')]
        results += lines
        names = names[len(lines) :]
        if names:
            last = errors.strip().splitlines()[-1:]
            results.append({'name': names[0], 'error': ': '.join([end, *last])})
            names = names[1:]
    return results


def _driver_gpus() -> list[str]:
    try:
        listed = subprocess.run(['nvidia-smi', '-L'], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r'^GPU \d+: (.+?)(?: \(UUID.*)?$', listed.stdout, re.MULTILINE)


def _conflicts(requirements: dict[str, list[str]], installed: dict[str, str]) -> list[Conflict]:
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        # mmengine needs packaging, so what is missing here is reported as missing.
        return []
    conflicts = []
    known = {each for providers in PROVIDERS.values() for each in providers}
    for name, texts in requirements.items():
        for text in texts:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                continue
            wanted = _normalised(requirement.name)
            # What touches nothing of ours is none of the doctor's business: `pip check` lists it all.
            if wanted not in installed or wanted not in known:
                continue
            if requirement.marker is not None and not requirement.marker.evaluate({'extra': ''}):
                continue
            if not requirement.specifier.contains(installed[wanted], prereleases=True):
                wants = str(requirement.specifier)
                conflicts.append(Conflict(name, installed[name], wants, wanted, installed[wanted]))
    return sorted(conflicts, key=lambda each: (each.of, each.by))
