"""Each case in an interpreter of its own: what is imported, and in which order, is what is tested."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(code: str, path: Path | None = None) -> list[str]:
    """The lines that ``code`` prints in a fresh interpreter, with ``path`` first on its module path."""
    paths = [str(each) for each in (path, ROOT) if each is not None]
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(code)],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split('\n')[:-1]


def write_package(folder: Path, name: str, **files: str) -> None:
    """A package of which nothing exists but the given modules."""
    (folder / name).mkdir()
    for module, text in files.items():
        (folder / name / f'{module}.py').write_text(textwrap.dedent(text))


@pytest.fixture(scope='module')
def state() -> str:
    return run('from mmcds.compat.torchvision_compat import ensure_torchvision as f; print(f(), f())')[0].split()[0]


def test_twice_is_once() -> None:
    first, second = run(
        """
        from mmcds.compat.torchvision_compat import ensure_torchvision
        print(ensure_torchvision())
        import torchvision
        print(ensure_torchvision())
        """
    )
    assert first == second
    assert first in ('native', 'declared')


def test_state_is_the_truth_about_the_installed_torchvision(state: str) -> None:
    """``native`` and ``declared`` are what importing torchvision without mmcds shows."""
    (imports,) = run(
        """
        try:
            import torchvision
        except RuntimeError as error:
            print('nms does not exist' in str(error))
        else:
            print('imports')
        """
    )
    assert imports == {'native': 'imports', 'declared': 'True'}[state]


def test_models_and_transforms_work() -> None:
    lines = run(
        """
        import torch
        from mmcds.compat.torchvision_compat import ensure_torchvision
        ensure_torchvision()
        from torchvision import models, ops
        from torchvision.transforms import v2
        print(tuple(models.resnet18().eval()(torch.zeros(1, 3, 32, 32)).shape))
        print(tuple(v2.Resize(8)(torch.zeros(3, 16, 16)).shape))
        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0]])
        print(round(ops.box_iou(boxes, boxes)[0, 1].item(), 4))
        """
    )
    assert lines == ['(1, 1000)', '(3, 8, 8)', '0.3333']


def test_declared_operator_says_that_it_is_not_compiled(state: str) -> None:
    if state != 'declared':
        pytest.skip('this torchvision has its operators')
    (error,) = run(
        """
        import torch
        from mmcds.compat.torchvision_compat import ensure_torchvision
        ensure_torchvision()
        from torchvision.ops import nms
        try:
            nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
        except RuntimeError as error:
            print(str(error)[:31])
        """
    )
    assert error == "Couldn't load custom C++ ops. T"


def test_after_a_failed_import() -> None:
    """The wreckage of somebody's failed import must not keep the next from working."""
    lines = run(
        """
        try:
            import torchvision
        except RuntimeError:
            pass
        from mmcds.compat.torchvision_compat import ensure_torchvision
        print(ensure_torchvision() in ('native', 'declared'))
        import torchvision.transforms.v2, torchvision.datasets
        print(torchvision.extension is not None)
        """
    )
    assert lines == ['True', 'True']


def test_mmpretrain_models_and_mmdet_modules() -> None:
    lines = run(
        """
        from mmcds.compat.torchvision_compat import ensure_torchvision
        ensure_torchvision()
        import mmpretrain.models
        from mmdet.utils import register_all_modules
        register_all_modules()
        from mmengine.registry import MODELS
        print(MODELS.get('mmdet.FasterRCNN').__name__, MODELS.get('mmpretrain.ImageClassifier').__name__)
        """
    )
    assert lines[-1] == 'FasterRCNN ImageClassifier'


def test_absent(tmp_path: Path) -> None:
    lines = run(
        """
        import importlib.util, sys
        find = importlib.util.find_spec
        importlib.util.find_spec = lambda name: None if name == 'torchvision' else find(name)
        from mmcds.compat.torchvision_compat import ensure_torchvision
        print(ensure_torchvision(), 'torch' in sys.modules)
        """
    )
    assert lines == ['absent False']


@pytest.mark.parametrize(
    ('torch_version', 'torchvision_version', 'requirement', 'imported'),
    [
        ('2.13.0+cu130', '0.28.0+cu130', 'torch==2.13.0', False),
        ('2.13.0+cu130', '0.28.0+cu130', 'torch (==2.13.0)', False),
        ('2.13.0+cpu', '0.28.0+cu130', 'torch==2.13.0', True),
        ('2.12.1+cu130', '0.28.0+cu130', 'torch==2.13.0', True),
        ('2.13.0', '0.28.0', 'torch==2.13.0', True),
        ('2.13.0+cu130', '0.28.0+cu130', 'torch', True),
    ],
)
def test_nothing_is_imported_where_the_files_suffice(
    tmp_path: Path, torch_version: str, torchvision_version: str, requirement: str, imported: bool
) -> None:
    """Of one build for one torch: native without a look. Anything else: import it and see."""
    write_package(tmp_path, 'torch', __init__='', version=f"__version__ = '{torch_version}'")
    write_package(tmp_path, 'torchvision', __init__='', version=f"__version__ = '{torchvision_version}'")
    metadata = tmp_path / 'torchvision-0.28.0.dist-info' / 'METADATA'
    metadata.parent.mkdir()
    metadata.write_text(f'Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\nRequires-Dist: {requirement}\n')
    lines = run(
        """
        import sys
        from mmcds.compat.torchvision_compat import ensure_torchvision
        print(ensure_torchvision(), 'torchvision' in sys.modules)
        """,
        tmp_path,
    )
    assert lines == [f'native {imported}']


@pytest.mark.parametrize(
    'trouble',
    [
        'import no_such_module',
        "raise RuntimeError('operator torchvision::something_new does not exist')",
        "raise RuntimeError('Detected that PyTorch and torchvision were compiled with different CUDA versions')",
    ],
)
def test_other_trouble_is_left_to_be_seen(tmp_path: Path, trouble: str) -> None:
    write_package(tmp_path, 'torchvision', __init__=trouble)
    lines = run(
        """
        from mmcds.compat.torchvision_compat import ensure_torchvision
        print(ensure_torchvision())
        import torch
        print(hasattr(torch.ops.torchvision, 'nms'))
        try:
            import torchvision
        except Exception as error:
            print(type(error).__name__)
        """,
        tmp_path,
    )
    assert lines == ['broken', 'False', 'ModuleNotFoundError' if 'import' in trouble else 'RuntimeError']
