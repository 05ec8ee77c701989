"""`pip install .` into an environment that is already there adds packages and changes none."""

import json
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from environments import SITE, layered_venv

#: What mmcds brings along: an environment without mmcds may well be without them, too.
BROUGHT = ('mmcds', 'kornia', 'kornia_rs', 'sklearn', 'scikit_learn', 'joblib', 'threadpoolctl', 'narwhals')


def normalised(name: str) -> str:
    return re.sub(r'[-_.]+', '-', name).lower()


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment like this one before mmcds came into it."""
    folder = tmp_path_factory.mktemp('project')
    packages = folder / 'packages'
    packages.mkdir()
    for path in SITE.iterdir():
        if not re.match(rf'({"|".join(BROUGHT)})\b|__editable__|__pycache__', path.name) and path.suffix != '.pth':
            (packages / path.name).symlink_to(path)
    return layered_venv(folder / 'venv', packages)


def resolve(python: Path, report: Path, *requirements: str) -> list[dict[str, Any]]:
    """What pip would install."""
    pip = [sys.executable, '-m', 'pip', '--python', str(python), 'install', '--dry-run', '--report', str(report)]
    done = subprocess.run([*pip, *requirements], capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1]
        network = 'NewConnectionError' in done.stderr or 'Could not find a version' in done.stderr
        pytest.fail(f'{"pip reached no package index, which this test needs" if network else "pip failed"}: {last}')
    found: list[dict[str, Any]] = json.loads(report.read_text())['install']
    return found


@pytest.mark.parametrize('extra', ['', '[analysis]'])
def test_pip_leaves_what_is_there(extra: str, project: Path, wheel: Path, tmp_path: Path) -> None:
    there = {normalised(each.metadata['Name']): each.version for each in distributions(path=[str(SITE)])}
    there = {name: version for name, version in there.items() if name.replace('-', '_') not in BROUGHT}
    assert {'torch', 'numpy', 'opencv-python', 'pillow'} <= set(there)
    wanted = {
        normalised(each['metadata']['name']): each['metadata']['version']
        for each in resolve(project, tmp_path / 'report.json', f'mmcds{extra} @ {wheel.as_uri()}')
    }
    changes = {name: f'{there[name]} -> {version}' for name, version in wanted.items() if name in there}
    assert changes == {}
    # The resolver had something to decide.
    assert {'mmcds', 'kornia', 'kornia-rs'} <= set(wanted)
    assert ('scikit-learn' in wanted) is bool(extra)
