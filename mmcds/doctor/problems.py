"""Rules that find problems in an inventory, each with the shell command that mends it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .inventory import MM_PACKAGES, PROVIDERS, Inventory, stack_of

#: The requirements that each stack was tested with; ``requirements*.txt`` says the same.
PINS = {
    'default': 'torch==2.13.0 torchvision==0.28.0 numpy==2.2.6 opencv-python==4.12.0.88 onedl-mmengine==0.10.12 '
    'onedl-mmcv==2.3.6 onedl-mmdetection==3.5.1 onedl-mmpretrain==1.3.6',
    'upstream': 'torch==2.1.2 torchvision==0.16.2 numpy==1.26.4 opencv-python==4.11.0.86 mmengine==0.10.7 '
    'mmcv==2.1.0 mmdet==3.3.0 mmpretrain==1.2.0',
}
COMMON_PINS = 'kornia==0.8.2 pycocotools==2.0.11 matplotlib>=3.7'
#: The versions of the mm packages that mmcds can work with; its metadata name those of kornia.
SUPPORTED = {'mmengine': '>=0.8.3,<1', 'mmcv': '>=2.0,<3', 'mmdet': '>=3.0,<4', 'mmpretrain': '>=1.0,<2'}
PIP = 'python -m pip install'


@dataclass(frozen=True)
class Problem:
    """A problem of one package and the shell command that mends it. If not fatal, mmcds works anyway."""

    package: str
    text: str
    command: str
    is_fatal: bool = True


def find_problems(inventory: Inventory) -> list[Problem]:
    """All problems. Of packages whose import fails for another reason only the first, since others may need it."""
    rules = (_mixed_stacks, _missing, _versions, _operators)
    problems = [problem for rule in rules for problem in rule(inventory)]
    broken = next((package for package in inventory.packages.values() if package.error), None)
    if broken and not any(problem.is_fatal for problem in problems):
        # The tested version: kornia 0.8.3 does not import beside torch 2.1, and the same again would not either.
        command = install(broken.name, inventory)
        if broken.name not in ('mmcds', 'mmcv'):
            command = f"{PIP} --force-reinstall --no-deps --no-build-isolation '{pin(broken.name, inventory.stack)}'"
        problems.append(Problem(broken.name, f'{broken.name} {broken.label} does not import: {broken.error}', command))
    return problems


def pin(package: str, stack: str) -> str:
    """The tested requirement of a package in a stack; that of the default stack if the stack is neither."""
    pins = f'{PINS.get(stack, PINS["default"])} {COMMON_PINS}'.split()
    return next(each for each in pins if re.split('[=>]', each)[0] in PROVIDERS[package])


def install(name: str, inventory: Inventory, cuda: bool = False) -> str:
    """Command that installs the tested version of a package; mmcv is compiled for the installed torch.

    Without ``--no-build-isolation`` pip builds mmcv where there is no torch, and without ``--no-cache-dir`` it takes
    the wheel without operators that such a build has left in its cache.
    """
    if name == 'mmcds':
        return f'{PIP} --no-build-isolation --no-deps -e .'
    requirement = pin(name, inventory.stack)
    if name != 'mmcv':
        return f"{PIP} --no-build-isolation '{requirement}'"
    cuda = cuda or bool(inventory.packages['torch'].cuda)
    pip = f'{PIP} --force-reinstall --no-deps --no-cache-dir --no-build-isolation'
    return f'MMCV_WITH_OPS=1 FORCE_CUDA={int(cuda)} {pip} --no-binary {requirement.partition("==")[0]} {requirement}'


def _set_up(inventory: Inventory, venv: str) -> str:
    stack = ' --stack upstream' if inventory.stack == 'upstream' else ''
    return f'tools/setup_env.sh{stack}' + (f' --venv {venv}' if venv else '')


def _mixed_stacks(inventory: Inventory) -> Iterator[Problem]:
    if inventory.stack == 'MIXED':
        names = [each for package in MM_PACKAGES for each in inventory.packages[package].distributions]
        listed = '; '.join(f'{stack}: {", ".join(n for n in names if stack_of(n) == stack)}' for stack in PINS)
        text = f'distributions of two stacks are installed, which overwrite each other ({listed})'
        yield Problem('mmengine', text, _set_up(inventory, '.venv-new'))


def _missing(inventory: Inventory) -> Iterator[Problem]:
    missing = [name for name in PROVIDERS if name not in ('mmcds', 'mmcv.ops') and inventory.packages[name].missing]
    if len(missing) > 2 or 'torch' in missing:
        count = f'{len(missing)} packages are' if len(missing) > 1 else 'a package is'
        text = f'{count} not installed: {", ".join(missing)}'
        yield Problem(missing[0], text, _set_up(inventory, inventory.venv))
        return
    for name in missing:
        yield Problem(name, f'{name} is not installed', install(name, inventory))


def _versions(inventory: Inventory) -> Iterator[Problem]:
    packages = inventory.packages
    for name, wanted in SUPPORTED.items():
        if not _fits(packages[name].label, wanted):
            text = f'{name} {packages[name].label} is out of range, mmcds works with {wanted}'
            yield Problem(name, text, install(name, inventory))
    # The onedl fork has dropped the check; upstream's mmdet ends its own import with an AssertionError.
    mmcv, mmdet = packages['mmcv'].label, packages['mmdet'].distributions.get('mmdet')
    if mmdet and not _fits(mmcv, '<2.2'):
        text = f'mmcv {mmcv} is out of range, mmdet {mmdet} refuses 2.2 and newer'
        yield Problem('mmcv', text, install('mmcv', inventory))
    version = packages['mmengine'].distributions.get('mmengine', '')
    if not _fits(version, '>=0.11rc0') and not _fits(packages['torch'].label, '<2.6'):
        text = f'mmengine {version} cannot load its own checkpoints under torch >= 2.6'
        yield Problem('mmengine', text, f"{PIP} 'mmengine==0.11.0rc3'", is_fatal=False)
    for by, wanted, version in inventory.conflicts:
        command = f"{PIP} --no-build-isolation '{wanted}'"
        if wanted.startswith('torch=='):
            # mmcv is compiled for the torch that is there: the other one has to give way.
            command = f"{PIP} --upgrade 'torch=={version.partition('+')[0]}' {by}"
        yield Problem(by, f'{by} needs {wanted}, but {version} is installed', command)


def _fits(version: str, wanted: str) -> bool:
    """Whether a version is in a range; True if there is no version or packaging is not installed."""
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return True
    return not version or ',' in version or SpecifierSet(wanted).contains(version, prereleases=True)


def _operators(inventory: Inventory) -> Iterator[Problem]:
    mmcv, operators, torch, vision = (inventory.packages[each] for each in ('mmcv', 'mmcv.ops', 'torch', 'torchvision'))
    command = install('mmcv', inventory)
    if mmcv.error or torch.error:
        pass  # then the operators do not import for want of it
    elif "No module named 'mmcv._ext'" in operators.error:
        text = f'mmcv {mmcv.label} was installed without its operators, without which mmdet does not import'
        # It would share mmcv's folder.
        lite = 'python -m pip uninstall -y mmcv-lite && ' if 'mmcv-lite' in mmcv.distributions else ''
        yield Problem('mmcv.ops', text, lite + command)
    elif operators.error:
        text = f"mmcv's operators do not import, being compiled for another torch or Python: {operators.error}"
        yield Problem('mmcv.ops', text, command)
    elif torch.gpus and not operators.cuda:
        text = "mmcv's operators were compiled without CUDA: training on the GPU ends at the first of them"
        yield Problem('mmcv.ops', text, install('mmcv', inventory, cuda=True))
    # Beside a CPU torch there may be no better torchvision to be had; beside a CUDA torch there is.
    if vision.operators == 'declared' and torch.cuda:
        text = f'torchvision {vision.label} was built for another torch than {torch.label}: its operators do not work'
        pins = ' '.join(pin(name, inventory.stack) for name in ('torch', 'torchvision'))
        yield Problem('torchvision', text, f'{PIP} --force-reinstall --no-deps {pins}', is_fatal=False)
