"""The rules: from what is installed to what is wrong with it and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .commands import PIP, build_mmcv, install, install_mmcds, is_cuda, release, set_up
from .inventory import Inventory
from .packages import (
    MINIMUM_PYTHON,
    MM_PACKAGES,
    MMENGINE_FOR_NEW_TORCH,
    NEEDS,
    OPTIONAL,
    PROVIDERS,
    STACKS,
    SUPPORTED,
    pin,
    stack_of,
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Args:
        package (str): The import name it is about.
        text (str): What is wrong and what that breaks, in one line.
        command (str): The one shell command that mends it.
        is_fatal (bool): Whether mmcds does not work because of it; a warning otherwise.
    """

    package: str
    text: str
    command: str
    is_fatal: bool = True


def find_problems(inventory: Inventory) -> list[Problem]:
    """Everything that is wrong, causes before consequences, and consequences only where they stand alone."""
    problems = [problem for rule in RULES for problem in rule(inventory)]
    blamed = {problem.package for problem in problems if problem.is_fatal} | set(_missing_names(inventory))
    return problems + list(_import_errors(inventory, blamed))


def _python(inventory: Inventory) -> Iterator[Problem]:
    if release(inventory.python) < MINIMUM_PYTHON:
        least = '.'.join(map(str, MINIMUM_PYTHON))
        text = f'Python {inventory.python} is too old, mmcds needs {least} or newer'
        yield Problem('python', text, f'PYTHON=python{least} {set_up(inventory, ".venv-new")}')


def _mixed_stacks(inventory: Inventory) -> Iterator[Problem]:
    if inventory.stack == 'MIXED':
        names = [each for package in MM_PACKAGES for each in inventory.packages[package].distributions]
        listed = '; '.join(
            f'{stack}: {", ".join(each for each in names if stack_of(each) == stack)}' for stack in STACKS
        )
        text = f'distributions of two stacks are installed, which overwrite each other ({listed})'
        yield Problem('mmengine', text, set_up(inventory, '.venv-new'))


def _missing(inventory: Inventory) -> Iterator[Problem]:
    missing = _missing_names(inventory)
    if len(missing) > 2 or 'torch' in missing:
        count = f'{len(missing)} packages are' if len(missing) > 1 else 'a package is'
        text = f'{count} not installed: {", ".join(missing)}'
        yield Problem(missing[0], text, set_up(inventory, inventory.venv))
        return
    for name in missing:
        yield Problem(name, f'{name} is not installed', install(name, inventory))


def _missing_optional(inventory: Inventory) -> Iterator[Problem]:
    for name in OPTIONAL:
        if inventory.packages[name].is_missing and not _missing_names(inventory):
            text = f'{PROVIDERS[name][0]} is not installed: training works, some analysis tools do not'
            yield Problem(name, text, install(name, inventory), is_fatal=False)


def _out_of_range(inventory: Inventory) -> Iterator[Problem]:
    for name, (low, high) in SUPPORTED.items():
        version = inventory.packages[name].label
        if release(version) and not release(low) <= release(version) < release(high):
            text = f'{name} {version} is out of range, mmcds works with >={low},<{high}'
            yield Problem(name, text, install(name, inventory))
    # The onedl fork has dropped the check; upstream's mmdet ends its own import with an AssertionError.
    mmcv, mmdet = (inventory.packages[name] for name in ('mmcv', 'mmdet'))
    if 'mmdet' in mmdet.distributions and release(mmcv.label) >= (2, 2):
        text = f'mmcv {mmcv.label} is out of range, mmdet {mmdet.distributions["mmdet"]} refuses 2.2 and newer'
        yield Problem('mmcv', text, build_mmcv(inventory))


def _opencv(inventory: Inventory) -> Iterator[Problem]:
    found = inventory.packages['cv2'].distributions
    if len(set(found.values())) > 1:
        lowest = min(found.values(), key=release)
        listed = ', '.join(f'{name} {version}' for name, version in found.items())
        wanted = ' '.join(f'{name}=={lowest}' for name in found)
        text = f'{listed}: these share the folder cv2 and have to be of one version'
        yield Problem('cv2', text, f'{PIP} --force-reinstall --no-deps {wanted}')


def _conflicts(inventory: Inventory) -> Iterator[Problem]:
    packages = {each: name for name, providers in PROVIDERS.items() for each in providers}
    for conflict in inventory.conflicts:
        needs = f'{conflict.of}{conflict.wants}'
        if conflict.of == 'torch':
            # mmcv is compiled for the torch that is there: the other one has to give way.
            command = f"{PIP} --upgrade 'torch=={conflict.of_version.partition('+')[0]}' {conflict.by}"
        elif conflict.of in PROVIDERS['mmcv']:
            command = build_mmcv(inventory)
        else:
            command = f"{PIP} --no-build-isolation '{needs}'"
        text = f'{conflict.by} {conflict.by_version} needs {needs}, but {conflict.of_version} is installed'
        # What a bystander wants does not keep mmcds from working.
        yield Problem(packages[conflict.of], text, command, is_fatal=conflict.by in packages)


def _mmcv_operators(inventory: Inventory) -> Iterator[Problem]:
    mmcv, operators, torch = (inventory.packages[name] for name in ('mmcv', 'mmcv.ops', 'torch'))
    if mmcv.error or torch.error:
        return
    if 'mmcv-lite' in mmcv.distributions:
        text = 'mmcv-lite has no operators, without which mmdet does not import'
        yield Problem('mmcv.ops', text, f'python -m pip uninstall -y mmcv-lite && {build_mmcv(inventory)}')
    elif "No module named 'mmcv._ext'" in operators.error:
        text = f'mmcv {mmcv.label} was built without its operators, without which mmdet does not import'
        yield Problem('mmcv.ops', text, build_mmcv(inventory))
    elif operators.error:
        text = f"mmcv's operators do not import, being compiled for another torch or Python: {operators.error}"
        yield Problem('mmcv.ops', text, build_mmcv(inventory))
    elif torch.facts.get('gpus') and not operators.facts.get('cuda'):
        text = "mmcv's operators were compiled without CUDA: training on the GPU ends at the first of them"
        yield Problem('mmcv.ops', text, build_mmcv(inventory, cuda=True))


def _gpu(inventory: Inventory) -> Iterator[Problem]:
    torch = inventory.packages['torch']
    if not inventory.gpus or torch.error or torch.facts.get('gpus'):
        return
    # Warnings: somebody may want it so, and mmcds runs.
    if not is_cuda(inventory):
        text = f'torch {torch.label} is a CPU build, the GPU ({inventory.gpus[0]}) stays idle'
        yield Problem('torch', text, f'FORCE_CUDA=1 {set_up(inventory, ".venv-new")}', is_fatal=False)
    else:
        text = (
            f'torch {torch.label} sees no GPU, the driver does ({inventory.gpus[0]}): CUDA_VISIBLE_DEVICES hides it, '
            f'or the driver is too old for CUDA {torch.facts["cuda"]}'
        )
        yield Problem('torch', text, 'env | grep CUDA_VISIBLE_DEVICES; nvidia-smi', is_fatal=False)


def _torchvision(inventory: Inventory) -> Iterator[Problem]:
    torchvision, torch = (inventory.packages[name] for name in ('torchvision', 'torch'))
    # Beside a CPU torch there may be no better torchvision to be had; beside a CUDA torch there is.
    if torchvision.facts.get('operators') == 'declared' and is_cuda(inventory):
        text = (
            f'torchvision {torchvision.label} was built for another torch than {torch.label}: its transforms and '
            'models work, its operators do not'
        )
        pins = ' '.join(pin(name, inventory.stack) for name in ('torch', 'torchvision'))
        yield Problem('torchvision', text, f'{PIP} --force-reinstall --no-deps {pins}', is_fatal=False)


def _mmengine_checkpoints(inventory: Inventory) -> Iterator[Problem]:
    found = inventory.packages['mmengine'].distributions
    version = found.get('mmengine') or found.get('mmengine-lite') or ''
    if version and release(version) < (0, 11) and release(inventory.packages['torch'].label) >= (2, 6):
        text = f'mmengine {version} cannot load its own checkpoints under torch >= 2.6'
        yield Problem('mmengine', text, f"{PIP} '{MMENGINE_FOR_NEW_TORCH}'", is_fatal=False)


def _transformers(inventory: Inventory) -> Iterator[Problem]:
    # Only where it is to blame: mmpretrain's multimodal models work with some releases of it. They replace a name
    # that it no longer has by None, and fail on that a few lines later.
    error = inventory.packages['mmpretrain'].error
    if inventory.transformers and ('transformers' in error or 'NoneType takes no arguments' in error):
        text = f'transformers {inventory.transformers} breaks the import of mmpretrain, and mmcds does not need it'
        yield Problem('mmpretrain', text, 'python -m pip uninstall -y transformers')


def _mmcds_is_not_installed(inventory: Inventory) -> Iterator[Problem]:
    if not inventory.packages['mmcds'].distributions and not _missing_names(inventory):
        text = 'mmcds is not installed: it is found in its own folder only'
        yield Problem('mmcds', text, install_mmcds(), is_fatal=False)


RULES: tuple[Callable[[Inventory], Iterator[Problem]], ...] = (
    _python,
    _mixed_stacks,
    _missing,
    _missing_optional,
    _out_of_range,
    _opencv,
    _conflicts,
    _mmcv_operators,
    _gpu,
    _torchvision,
    _mmengine_checkpoints,
    _transformers,
    _mmcds_is_not_installed,
)


def _import_errors(inventory: Inventory, blamed: set[str]) -> Iterator[Problem]:
    """What does not import, unless another problem explains it: one of its own, or of a package it needs."""
    broken = set(blamed)
    for name in [*PROVIDERS, 'mmcv.ops']:
        package = inventory.packages[name]
        if not package.error or name in blamed or broken & _all_needs(name):
            continue
        if name in OPTIONAL and package.is_missing:  # _missing_optional said so
            continue
        broken.add(name)
        distributions = ' '.join(f'{each}=={version}' for each, version in package.distributions.items())
        command = f'{PIP} --force-reinstall --no-deps --no-build-isolation {distributions or name}'
        if name in ('mmcds', 'mmcv'):
            command = install_mmcds() if name == 'mmcds' else build_mmcv(inventory)
        elif name == 'kornia':  # 0.8.3 and newer do not import beside torch 2.1
            command = f"{PIP} --force-reinstall --no-deps '{pin(name, inventory.stack)}'"
        text = f'{name} {package.label} does not import: {package.error}'
        yield Problem(name, text, command, is_fatal=name not in OPTIONAL)


def _all_needs(name: str) -> set[str]:
    needs = set(NEEDS.get(name, ()))
    return needs.union(*(_all_needs(each) for each in needs))


def _missing_names(inventory: Inventory) -> list[str]:
    needed = [name for name in PROVIDERS if name not in ('mmcds', *OPTIONAL)]
    return [name for name in needed if inventory.packages[name].is_missing]
