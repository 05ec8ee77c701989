"""The wheel and the source distribution: what is inside, and that one makes the other."""

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

import mmcds

ROOT = Path(__file__).resolve().parents[1]
#: Bytes that nobody minds to download; the shipped configs and tools are most of it.
LARGEST = 1_000_000


def names_in(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_what_mim_looks_for(wheel: Path) -> None:
    assert wheel.name == f'mmcds-{mmcds.__version__}-py3-none-any.whl'
    assert wheel.stat().st_size < LARGEST
    names = names_in(wheel)
    assert {name.partition('/')[0] for name in names} == {'mmcds', f'mmcds-{mmcds.__version__}.dist-info'}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / 'mmcds').rglob('*.py') if '.mim' not in path.parts}
    assert {name for name in names if name.endswith('.py') and '/.mim/' not in name} == modules
    for path in ('configs/cds/faster_rcnn_r50_cds.py', 'tools/train.py', 'tools/dist_train.sh', 'model-index.yml'):
        assert f'mmcds/.mim/{path}' in names
    assert 'mmcds/py.typed' in names
    assert not [name for name in names if re.search(r'tests|benchmarks|\.png|\.pth', name)]


@pytest.mark.slow
def test_the_metadata_is_complete(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f'mmcds-{mmcds.__version__}.dist-info/METADATA').decode()
    found = message_from_string(text)
    assert found['Version'] == mmcds.__version__
    assert found['License'] == 'Apache-2.0'
    assert 'MMSegmentation' in found['Summary']
    assert found['Description-Content-Type'] == 'text/markdown'
    assert found.get_all('Provides-Extra') == ['analysis']
    required = [each for each in found.get_all('Requires-Dist') or [] if 'extra' not in each]
    assert sorted(re.split(r'[^\w-]', each)[0] for each in required) == ['kornia', 'torch']
    # The newest entry of the changelog is of this version.
    (newest, *_) = re.findall(r'^## \[(\S+)\]', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
    assert newest == mmcds.__version__


@pytest.mark.slow
def test_the_source_distribution_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    source = wheel.parent / 'source'
    build = f"import setuptools.build_meta as build; build.build_sdist('{tmp_path}')"
    for name in ('MANIFEST.in', 'CHANGELOG.md', 'requirements', 'requirements.txt'):
        subprocess.run(['cp', '-R', str(ROOT / name), str(source)], check=True)
    subprocess.run([sys.executable, '-c', build], cwd=source, check=True, capture_output=True)
    (archive,) = tmp_path.glob('*.tar.gz')
    assert archive.stat().st_size < LARGEST
    with tarfile.open(archive) as content:
        content.extractall(tmp_path, filter='data')
    unpacked = tmp_path / f'mmcds-{mmcds.__version__}'
    assert not (unpacked / 'tests').exists()
    assert (unpacked / 'requirements/upstream.txt').is_file()
    pip = [sys.executable, '-m', 'pip', '-q', 'wheel', '--no-deps', '--no-build-isolation', '--no-index']
    subprocess.run([*pip, '-w', str(tmp_path), str(archive)], check=True, capture_output=True)
    assert names_in(tmp_path / wheel.name) == names_in(wheel)
