"""The doctor: its rules on fabricated inventories, and the command in this environment and in broken ones."""

import ast
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmcds.doctor import inventory as inventory_module
from mmcds.doctor.__main__ import to_json, to_text
from mmcds.doctor.inventory import MM_PACKAGES, PROVIDERS, Inventory, Package, _conflicts, _probe
from mmcds.doctor.problems import COMMON_PINS, PINS, Problem, find_problems, pin

ROOT = Path(__file__).resolve().parents[1]


def healthy(stack: str = 'default', cuda: str = '') -> Inventory:
    """An inventory without any problem, for a CPU or for one GPU."""
    packages = {}
    for name in PROVIDERS:
        pinned = f'{name}==1.0' if name in ('mmcv.ops', 'mmcds') else pin(name, stack)
        distribution, _, version = pinned.replace('>=', '==').partition('==')
        packages[name] = Package(name, {} if name == 'mmcv.ops' else {distribution: version}, version)
    packages['mmcv.ops'].cuda = packages['torch'].cuda = cuda
    packages['torch'].gpus = ['Some GPU'] if cuda else []
    packages['torchvision'].operators = 'compiled' if cuda else 'declared'
    return Inventory(packages, python='3.11.7', venv='some/venv')


def set_missing(inventory: Inventory, *names: str) -> None:
    for name in names:
        error = f"ModuleNotFoundError: No module named '{name}'"
        inventory.packages[name] = Package(name, error=error, missing=True)


def only(problems: list[Problem]) -> Problem:
    assert len(problems) == 1, problems
    return problems[0]


# --- what the doctor believes --------------------------------------------------------------------


@pytest.mark.parametrize('stack', PINS)
def test_pins_are_those_of_the_requirements(stack: str) -> None:
    files = {'default': ['requirements.txt'], 'upstream': ['requirements/upstream.txt']}[stack]
    files += ['requirements/runtime.txt']
    required = {line.split('#')[0].strip() for name in files for line in (ROOT / name).read_text().splitlines()}
    assert {*PINS[stack].split(), *COMMON_PINS.split()} <= required


def test_the_readme_names_the_tested_versions() -> None:
    text = (ROOT / 'README.md').read_text()
    for stack in PINS:
        (row,) = re.findall(rf'^\| {stack} [^|]*\|(.*)\|$', text, re.MULTILINE)
        names = ['torch', 'numpy', 'cv2', 'kornia', *MM_PACKAGES]
        pinned = [pin(name, stack).partition('==')[2] for name in names]
        # Of OpenCV's four numbers the last is the packaging's.
        assert [cell.strip() for cell in row.split('|')] == [
            v if v.count('.') < 3 else v.rpartition('.')[0] for v in pinned
        ]


def test_kornia_that_does_not_import_gives_way_to_the_tested_one() -> None:
    """kornia 0.8.3 beside torch 2.1: installing the same version again would not help."""
    inventory = healthy('upstream')
    inventory.packages['kornia'] = Package('kornia', {'kornia': '0.8.3'}, error='RuntimeError: Arguments for call')
    assert only(find_problems(inventory)).command.endswith(" 'kornia==0.8.2'")


# --- the rules -----------------------------------------------------------------------------------


@pytest.mark.parametrize('stack', PINS)
@pytest.mark.parametrize('cuda', ['', '13.0'])
def test_healthy(stack: str, cuda: str) -> None:
    inventory = healthy(stack, cuda)
    assert inventory.stack == stack
    assert find_problems(inventory) == []
    assert 'all is right' in to_text(inventory, [])
    assert json.loads(to_json(inventory, []))['ok'] is True


def test_nothing_installed() -> None:
    inventory = healthy()
    set_missing(inventory, *[name for name in PROVIDERS if name not in ('mmcv.ops', 'mmcds')])
    inventory.packages['mmcv.ops'].error = "ModuleNotFoundError: No module named 'mmcv'"
    inventory.packages['mmcds'].error = "ModuleNotFoundError: No module named 'mmengine'"
    problem = only(find_problems(inventory))
    assert inventory.stack == 'none'
    assert problem.text.startswith('11 packages are not installed: numpy, cv2, torch')
    assert problem.command == 'tools/setup_env.sh --venv some/venv'
    assert 'stack: none\n' in to_text(inventory, [problem])


def test_missing_torch_is_one_problem() -> None:
    """Everything else fails for want of it and must not be reported."""
    inventory = healthy('upstream')
    for name in list(PROVIDERS)[3:]:
        inventory.packages[name].error = "ModuleNotFoundError: No module named 'torch'"
    set_missing(inventory, 'torch')
    inventory.packages['numpy'].error = ''
    problem = only(find_problems(inventory))
    assert problem.text == 'a package is not installed: torch'
    assert problem.command == 'tools/setup_env.sh --stack upstream --venv some/venv'


@pytest.mark.parametrize(
    ('name', 'stack', 'command'),
    [
        ('mmdet', 'default', "python -m pip install --no-build-isolation 'onedl-mmdetection==3.5.1'"),
        ('mmdet', 'upstream', "python -m pip install --no-build-isolation 'mmdet==3.3.0'"),
        ('kornia', 'upstream', "python -m pip install --no-build-isolation 'kornia==0.8.2'"),
    ],
)
def test_missing_package(name: str, stack: str, command: str) -> None:
    inventory = healthy(stack)
    set_missing(inventory, name)
    inventory.packages['mmcds'].error = f"ModuleNotFoundError: No module named '{name}'"
    assert only(find_problems(inventory)) == Problem(name, f'{name} is not installed', command)


@pytest.mark.parametrize(('stack', 'cuda'), [('default', ''), ('default', '13.0'), ('upstream', '')])
def test_mmcv_without_operators(stack: str, cuda: str) -> None:
    inventory = healthy(stack, cuda)
    inventory.packages['mmcv.ops'].error = "ModuleNotFoundError: No module named 'mmcv._ext'"
    for name in ('mmdet', 'mmcds'):
        inventory.packages[name].error = "ModuleNotFoundError: No module named 'mmcv._ext'"
    problem = only(find_problems(inventory))
    assert 'without its operators' in problem.text
    mmcv = pin('mmcv', stack)
    assert problem.command == (
        f'MMCV_WITH_OPS=1 FORCE_CUDA={1 if cuda else 0} python -m pip install --force-reinstall --no-deps '
        f'--no-cache-dir --no-build-isolation --no-binary {mmcv.split("==")[0]} {mmcv}'
    )
    assert re.search(r'^mmcv\.ops .*does not import$', to_text(inventory, [problem]), re.MULTILINE)


def test_mmcv_compiled_for_another_torch() -> None:
    inventory = healthy()
    inventory.packages['mmcv.ops'].error = 'ImportError: _ext.so: undefined symbol: _ZN3c10'
    problem = only(find_problems(inventory))
    assert 'another torch' in problem.text
    assert 'undefined symbol' in problem.text
    assert '--force-reinstall' in problem.command


def test_mmcv_lite() -> None:
    inventory = healthy('upstream')
    inventory.packages['mmcv'].distributions = {'mmcv-lite': '2.1.0'}
    inventory.packages['mmcv.ops'].error = "ModuleNotFoundError: No module named 'mmcv._ext'"
    problem = only(find_problems(inventory))
    assert problem.command.startswith('python -m pip uninstall -y mmcv-lite && MMCV_WITH_OPS=1 ')


def test_mmcv_compiled_without_cuda_beside_a_gpu() -> None:
    inventory = healthy(cuda='13.0')
    inventory.packages['mmcv.ops'].cuda = ''
    problem = only(find_problems(inventory))
    assert 'without CUDA' in problem.text
    assert 'FORCE_CUDA=1' in problem.command


def test_mixed_stacks() -> None:
    inventory = healthy()
    inventory.packages['mmdet'].distributions['mmdet'] = '3.3.0'
    inventory.packages['mmcv'].version = '2.1.0'
    problem = only(find_problems(inventory))
    assert inventory.stack == 'MIXED'
    assert 'onedl-mmdetection' in problem.text
    assert problem.text.endswith('upstream: mmdet)')
    assert problem.command == 'tools/setup_env.sh --venv .venv-new'


@pytest.mark.parametrize(
    ('name', 'version', 'text'),
    [
        ('mmcv', '2.2.0', 'mmcv 2.2.0 is out of range, mmdet 3.3.0 refuses 2.2 and newer'),
        ('mmcv', '1.7.2', 'mmcv 1.7.2 is out of range, mmcds works with >=2.0,<3'),
        ('mmdet', '2.28.2', 'mmdet 2.28.2 is out of range, mmcds works with >=3.0,<4'),
        ('mmengine', '1.0.0', 'mmengine 1.0.0 is out of range, mmcds works with >=0.8.3,<1'),
    ],
)
def test_out_of_range(name: str, version: str, text: str) -> None:
    inventory = healthy('upstream')
    inventory.packages[name].distributions = {name: version}
    inventory.packages[name].version = version
    inventory.packages['mmdet'].error = 'AssertionError: it is used but incompatible'
    problem = only(find_problems(inventory))
    assert (problem.package, problem.text, problem.is_fatal) == (name, text, True)
    assert pin(name, 'upstream') in problem.command


def test_mmdet_of_the_fork_takes_newer_mmcv() -> None:
    inventory = healthy()
    inventory.packages['mmcv'].version = '2.9.0'
    assert find_problems(inventory) == []


@pytest.mark.parametrize(
    ('conflict', 'text', 'command'),
    [
        (
            ('opencv-python', 'numpy<2.3.0,>=2', '2.4.6'),
            'opencv-python needs numpy<2.3.0,>=2, but 2.4.6 is installed',
            "python -m pip install --no-build-isolation 'numpy<2.3.0,>=2'",
        ),
        (
            ('torchvision', 'torch==2.13.0', '2.12.1+cpu'),
            'torchvision needs torch==2.13.0, but 2.12.1+cpu is installed',
            "python -m pip install --upgrade 'torch==2.12.1' torchvision",
        ),
    ],
)
def test_conflicts(conflict: tuple[str, str, str], text: str, command: str) -> None:
    problem = only(find_problems(replace(healthy(), conflicts=[conflict])))
    assert (problem.text, problem.command, problem.is_fatal) == (text, command, True)


def test_conflicts_are_found() -> None:
    requirements = {
        'opencv-python': ['numpy<2.0; python_version < "3.9"', 'numpy<2.3.0,>=2; python_version >= "3.9"'],
        'mmcds': ['Opencv_Python<4.12', 'six'],
        'torchvision': ['torch (==2.13.0)', 'numpy<1; extra == "old"'],
    }
    installed = {'opencv-python': '4.12.0.88', 'mmcds': '0.4.3', 'numpy': '2.4.6', 'torch': '2.13.0+cpu'}
    assert _conflicts(requirements, installed) == [
        ('opencv-python', 'numpy<2.3.0,>=2', '2.4.6'),
        ('mmcds', 'Opencv_Python<4.12', '4.12.0.88'),
    ]


def test_prereleases_meet_a_requirement() -> None:
    assert _conflicts({'mmcv': ['mmengine>=0.3.0']}, {'mmcv': '2.1.0', 'mmengine': '0.11.0rc3'}) == []


@pytest.mark.parametrize(('torch', 'warns'), [('2.13.0+cpu', True), ('2.5.1', False)])
def test_mmengine_that_cannot_load_its_checkpoints(torch: str, warns: bool) -> None:
    inventory = healthy('upstream')
    inventory.packages['mmengine'].distributions = {'mmengine': '0.10.7'}
    inventory.packages['torch'].version = torch
    problems = find_problems(inventory)
    assert [problem.command for problem in problems] == ["python -m pip install 'mmengine==0.11.0rc3'"] * warns
    assert not any(problem.is_fatal for problem in problems)
    assert ('mmcds works here' in to_text(inventory, problems)) is warns


def test_torchvision_of_another_build_on_a_gpu() -> None:
    inventory = healthy(cuda='13.0')
    inventory.packages['torchvision'].operators = 'declared'
    problem = only(find_problems(inventory))
    assert not problem.is_fatal
    assert problem.command.endswith('torch==2.13.0 torchvision==0.28.0')


def test_mmcds_does_not_import() -> None:
    inventory = healthy()
    inventory.packages['mmcds'].error = 'SyntaxError: invalid syntax'
    problem = only(find_problems(inventory))
    assert problem.text == 'mmcds 1.0 does not import: SyntaxError: invalid syntax'


@pytest.mark.parametrize('name', [name for name in PROVIDERS if name not in ('mmcv.ops', 'mmcds')])
def test_only_the_first_import_error_is_reported(name: str) -> None:
    """What comes later may need it; the command installs the version that was tested."""
    inventory = healthy()
    inventory.packages[name].error = 'ValueError: numpy.dtype size changed'
    for other in list(PROVIDERS)[list(PROVIDERS).index(name) + 1 :]:
        inventory.packages[other].error = 'ImportError: a consequence'
        inventory.packages[other].operators = ''
    problem = only(find_problems(inventory))
    assert problem.package == name
    assert 'numpy.dtype size changed' in problem.text
    assert '--force-reinstall' in problem.command
    assert pin(name, 'default') in problem.command


def test_every_command_is_one_line() -> None:
    """A reader copies it."""
    inventory = replace(healthy(cuda='13.0'), conflicts=[('torchvision', 'torch==2.13.0', '2.12.1')])
    inventory.packages['mmdet'].distributions['mmdet'] = '3.3.0'
    inventory.packages['mmcv'].version = '1.7.2'
    inventory.packages['mmcv.ops'].error = 'ImportError: undefined symbol'
    inventory.packages['torchvision'].operators = 'declared'
    problems = find_problems(inventory)
    assert len(problems) >= 5
    for problem in problems:
        assert '\n' not in problem.command + problem.text
        assert subprocess.run(['bash', '-n', '-c', problem.command]).returncode == 0


# --- the command ---------------------------------------------------------------------------------


def doctor(*args: str, path: Path | None = None) -> 'subprocess.CompletedProcess[str]':
    """Run the doctor in this environment, with the packages in ``path`` before those installed."""
    env = {
        **os.environ,
        'OMP_NUM_THREADS': '1',
        'PYTHONPATH': os.pathsep.join([str(each) for each in (path, ROOT) if each]),
    }
    command = [sys.executable, '-m', 'mmcds.doctor', *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)


def shadow(folder: Path, **packages: str) -> Path:
    """Packages of one ``__init__.py`` each."""
    for name, text in packages.items():
        (folder / name).mkdir()
        (folder / name / '__init__.py').write_text(text)
    return folder


def report(path: Path) -> dict[str, Any]:
    result = doctor('--json', path=path)
    found = json.loads(result.stdout)
    assert result.returncode == (0 if found['ok'] else 1), result.stderr
    return found


def test_here() -> None:
    result = doctor()
    assert result.returncode == 0, result.stdout + result.stderr
    assert 'all is right' in result.stdout or 'mmcds works here' in result.stdout
    assert re.search(r'^stack: (default|upstream) ', result.stdout, re.MULTILINE)
    for name in PROVIDERS:
        assert re.search(rf'^{name} ', result.stdout, re.MULTILINE)


def test_here_for_a_program() -> None:
    import mmcv
    import torch

    result = doctor('--json')
    found = json.loads(result.stdout)
    assert found['ok'] is True
    assert found['stack'] in PINS
    assert found['packages']['torch']['version'] == torch.__version__
    assert found['packages']['torch']['cuda'] == (torch.version.cuda or '')
    assert found['packages']['mmcv']['version'] == mmcv.__version__
    assert found['packages']['mmcv.ops']['error'] == ''
    assert found['packages']['torchvision']['operators'] in ('compiled', 'declared')


def test_help() -> None:
    result = doctor('--help')
    assert result.returncode == 0
    assert 'example:' in result.stdout


def test_torch_that_does_not_import(tmp_path: Path) -> None:
    found = report(shadow(tmp_path, torch="raise ImportError('libcudart.so.13: cannot open shared object file')"))
    (problem,) = found['problems']
    assert problem['package'] == 'torch'
    assert 'ImportError: libcudart.so.13: cannot open shared object file' in problem['text']


def test_torch_that_is_not_there(tmp_path: Path) -> None:
    found = report(shadow(tmp_path, torch='raise ModuleNotFoundError("No module named \'torch\'", name="torch")'))
    (problem,) = found['problems']
    assert problem['text'] == 'a package is not installed: torch'


@pytest.mark.parametrize(
    ('end', 'error'),
    [
        ('import os; os.abort()', 'the import ended the interpreter with status -6'),
        ('import os; os._exit(7)', 'the import ended the interpreter with status 7'),
        ('raise SystemExit(3)', 'SystemExit: 3'),
        ('import sys; sys.exit("no\\n  way")', 'SystemExit: no way'),
    ],
)
def test_import_that_kills_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, error: str
) -> None:
    """The others are looked at all the same, and in the right order."""
    monkeypatch.setenv('PYTHONPATH', str(shadow(tmp_path, kornia=end)))
    numpy, kornia, pycocotools = _probe(['numpy', 'kornia', 'pycocotools'])
    assert (kornia['name'], kornia['error']) == ('kornia', error)
    assert [(each['name'], bool(each['version'])) for each in (numpy, pycocotools)] == [
        ('numpy', True),
        ('pycocotools', False),
    ]


def test_import_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory_module, 'TIMEOUT', 10)
    monkeypatch.setenv('PYTHONPATH', str(shadow(tmp_path, kornia='import time; time.sleep(600)')))
    kornia, pycocotools = _probe(['kornia', 'pycocotools'])
    assert kornia['error'] == 'the import was not over after 10 s'
    assert 'error' not in pycocotools


def test_packages_that_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = 'import os, sys; print("{}"); os.write(1, b"{}\\n"); print("warning", file=sys.stderr)'
    monkeypatch.setenv('PYTHONPATH', str(shadow(tmp_path, kornia=noise)))
    assert [each.get('error') for each in _probe(['kornia', 'pycocotools'])] == [None, None]


def test_mmcv_without_operators_here(tmp_path: Path) -> None:
    """The real mmcv but for its compiled part."""
    code = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == 'mmcv._ext':
            raise ModuleNotFoundError("No module named 'mmcv._ext'", name=name)

sys.meta_path.insert(0, Hide())
"""
    (tmp_path / 'sitecustomize.py').write_text(code)
    found = report(tmp_path)
    (problem,) = found['problems']
    assert 'without its operators' in problem['text']
    assert 'MMCV_WITH_OPS=1' in problem['command']


def test_doctor_imports_nothing_that_may_be_broken() -> None:
    """Of third parties only packaging, inside a function that does without."""
    for path in (ROOT / 'mmcds' / 'doctor').glob('*.py'):
        if path.name == 'imports.py':
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                assert name.split('.')[0] in {*sys.stdlib_module_names, 'packaging'}, f'{path.name} imports {name}'
