"""What could be imported, run and loaded before the modules moved to their layers still can be.

``old_names.json`` was made from the last commit before that.
"""

import json
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from benchmarks.experiments.matrix import load_matrix
from mmcds.compat.old_names import GONE, MODULES, moved_file
from mmcds.config.load_config import load_config

ROOT = Path(__file__).resolve().parents[1]
OLD: dict[str, Any] = json.loads((ROOT / 'tests/old_names.json').read_text())
#: Tools of which the old path leads to another one.
FORWARDED = ('tools/analysis/families.py', 'tools/benchmark/step_cost.py', 'benchmarks/run.py', 'benchmarks/grocery.py')


def is_gone(module: str) -> bool:
    return any(f'{module}.'.startswith(f'{each}.') for each in GONE)


@pytest.fixture(autouse=True)
def _repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools are called, and configs are named, relative to the repository."""
    monkeypatch.chdir(ROOT)


#: Inner parts that no package exported. Steps of one computation inside the loss: `contrastive_sums` does their work.
#: What patched the hosts' tools for ours: `mmcds.cli.host_flags` builds the runner itself. Of the doctor, a command,
#: its rules and a kind of record. Of the driver of experiments, what wrote long tables into the README.
LEFT = {
    'benchmarks.page.write_short',
    'mmcds.doctor.inventory.Conflict',
    'mmcds.doctor.problems.RULES',
    'mmcds.models.losses.blockwise.sum_logsumexp',
    'mmcds.models.losses.blockwise.sum_logsumexp_within',
    'mmcds.models.losses.comparison.loss_of',
    'mmcds.models.losses.contrastive.Shared',
    'mmcds.utils.cli.host_tool',
    'mmcds.utils.cli.prepared',
}


def test_modules_have_their_public_names() -> None:
    lost = []
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        for module, names in OLD['modules'].items():
            if is_gone(module):
                continue
            import_module(module)
            for name in names:
                try:
                    exec(f'from {module} import {name}', {})
                except ImportError:
                    lost.append(f'{module}.{name}')
    assert set(lost) == LEFT


def test_an_old_name_is_the_same_module() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        for old, new in MODULES.items():
            if isinstance(new, str):
                assert import_module(old) is import_module(new)
                assert import_module(new).__name__ == new


def test_an_old_name_warns_once_and_names_the_new_place() -> None:
    script = (
        'import warnings\n'
        'with warnings.catch_warnings(record=True) as found:\n'
        '    warnings.simplefilter("always")\n'
        '    import mmcds.probe\n'
        '    import mmcds.probe\n'
        '    from mmcds.probe import probe_channels\n'
        'ours = [each for each in found if "mmcds" in str(each.message)]\n'
        'print(*[(each.category.__name__, str(each.message), each.filename) for each in ours])\n'
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "('DeprecationWarning', 'mmcds.probe moved to mmcds.config.channels', '<string>')"


def test_a_module_that_left_the_package_says_where_it_is_or_why() -> None:
    gone = [module for module in OLD['modules'] if is_gone(module)]
    assert {'mmcds.utils.families.walk', 'mmcds.utils.safe_globals'} <= set(gone)
    for module in gone:
        with pytest.raises(
            ImportError, match=r'^mmcds\.\w+\.\w+ (left the package; .* benchmarks/families|is gone: .+)$'
        ):
            import_module(module)


def test_unknown_names_are_still_unknown() -> None:
    import mmcds.datasets
    import mmcds.models

    assert not hasattr(mmcds.datasets, 'Nothing')
    assert not hasattr(mmcds.models, 'nothing')
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'mmcds\.utils\.nothing'"):
        import_module('mmcds.utils.nothing')


def test_tools_are_where_they_were() -> None:
    assert [tool for tool in OLD['tools'] if not (ROOT / tool).is_file()] == []


@pytest.mark.parametrize('tool', FORWARDED)
def test_a_tool_that_moved_runs_by_its_old_path(tool: str) -> None:
    done = subprocess.run([sys.executable, tool, '--help'], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('usage: ')


def test_configs_are_found() -> None:
    assert len(OLD['configs']) > 150
    # It repeated the runs of detection_matrix.py on another machine, which any user can do with that one.
    dropped = {'benchmarks/detection_cpu_matrix.py'}
    assert {path for path in OLD['configs'] if not Path(moved_file(path)).is_file()} == dropped


def test_a_config_of_the_experiments_is_loaded_by_its_old_path() -> None:
    old = load_config('benchmarks/classification/cds.py')
    assert Path(str(old.filename)).resolve() == ROOT / 'benchmarks/experiments/classification/cds.py'
    assert load_matrix('benchmarks/protocol_matrix.py').path == Path('benchmarks/experiments/protocol_matrix.py')


def test_a_file_of_the_user_s_own_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = 'benchmarks/classification/mine.py'
    assert moved_file(path) == path
    for folder in ('benchmarks/classification', 'benchmarks/experiments/classification'):
        Path(folder).mkdir(parents=True)
        Path(folder, 'mine.py').touch()
    assert moved_file(path) == path
