"""Without the packages of the extra `analysis`, training works, and the analysis says in one line what to install."""

import os
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from mmcds.utils.extras import ANALYSIS, need_analysis

ROOT = Path(__file__).resolve().parents[2]
#: Runs a script while the modules named before it cannot be imported.
WITHOUT = """
import runpy, sys

sys.modules |= dict.fromkeys(sys.argv[1].split(','))  # None: as if it were not installed
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def run_without(modules: str, *arguments: str) -> 'subprocess.CompletedProcess[str]':
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    command = [sys.executable, '-c', WITHOUT, modules, *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_the_extra_names_what_is_asked_for() -> None:
    text = (ROOT / 'setup.py').read_text()
    found = re.search(r"'analysis': \[(.*?)\]", text)
    assert found is not None
    assert {re.split(r'[<>=]', each.strip(" '"))[0] for each in found[1].split("', '")} == set(ANALYSIS.values())


def test_what_is_there_is_not_complained_about() -> None:
    need_analysis(*ANALYSIS)
    assert all(distribution(name).version for name in ANALYSIS.values())


@pytest.mark.parametrize(('module', 'name'), ANALYSIS.items())
def test_a_missing_package_is_named_with_the_remedy(module: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"^{name} is needed here .*pip install {name}, .*'\.\[analysis\]'$"):
        need_analysis(module)


@pytest.mark.parametrize(
    ('module', 'tool', 'arguments'),
    [
        # Neither the config nor the checkpoint is read before: it would take minutes until the package is missed.
        ('sklearn', 'tools/analysis/probe.py', ['no_config.py', 'no.pth']),
        ('sklearn', 'tools/analysis/embeddings.py', ['no_config.py', 'no.pth']),
        ('matplotlib', 'tools/report.py', ['no_folder']),
    ],
)
def test_a_tool_ends_at_once_with_one_line(module: str, tool: str, arguments: list[str]) -> None:
    done = run_without(module, tool, *arguments)
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(rf"error: {ANALYSIS[module]} is needed here .*'\.\[analysis\]'", done.stderr.strip())


def test_training_needs_no_scikit_learn(tmp_path: Path) -> None:
    """The rest of the extra is what mmengine (matplotlib) and mmdet (pycocotools) need themselves."""
    script = tmp_path / 'core.py'
    script.write_text(
        'import mmcds\n'
        'from mmengine.registry import MODELS\n'
        'from mmcds import registry\n'
        'from mmcds.config.load_config import load_config\n'
        'for each in vars(registry).values():\n'
        "    if getattr(each, 'scope', '') == 'mmcds':\n"
        '        each.import_from_location()\n'
        "cfg = mmcds.add_cds(load_config('configs/shapes/faster_rcnn_r18_shapes.py'))\n"
        'cfg.model.backbone.init_cfg = None\n'
        'from mmengine.registry import DefaultScope\n'
        "with DefaultScope.overwrite_default_scope('mmdet'):\n"
        "    assert hasattr(MODELS.build(cfg.model).neck, 'cds')\n"
        "print('built')\n"
    )
    done = run_without('sklearn', str(script))
    assert done.stdout.strip().endswith('built'), done.stderr
