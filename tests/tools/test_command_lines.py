"""What the tools make of their command lines, in this process and without training anything."""

import importlib.util
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from classifiers import build_classifier, classifier_config
from mmengine.config import Config
from mmengine.runner import Runner
from toys import toy_config

from mmcds import add_cds

ROOT = Path(__file__).resolve().parents[2]
Tool = Callable[..., None]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Calls a tool's ``main()``, whose errors ``mmcds.cli.tool.run`` would print as one line."""
    # What a tool sets for its host, and where it looks for the package, ends with the test.
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setattr(sys, 'path', sys.path.copy())

    def call(name: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, 'argv', [name, *arguments])
        spec = importlib.util.spec_from_file_location('tool', ROOT / name)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.main()

    return call


# --- export.py ---------------------------------------------------------------------------------


def test_export_overrides_what_training_overrode(
    tool: Tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier_config().dump(tmp_path / 'config.py')
    trained = build_classifier(add_cds(classifier_config(), queue_length=6))
    torch.save({'state_dict': trained.state_dict()}, tmp_path / 'epoch_1.pth')
    command = [str(tmp_path / 'epoch_1.pth'), '--out', str(tmp_path / 'out.pth')]
    config = ['--config', str(tmp_path / 'config.py'), '--cds']
    tool('tools/export.py', *command, *config, '--cfg-options', 'model.neck.queue_length=6')
    assert 'equal to the last bit' in capsys.readouterr().out
    command.append('--force')
    with pytest.raises(ValueError, match=r'epoch_1\.pth does not fit .*queues.* was overridden then as --cfg-options$'):
        tool('tools/export.py', *command, *config)
    with pytest.raises(ValueError, match=r'^--cfg-options changes the config of --config, which is not given$'):
        tool('tools/export.py', *command, '--cfg-options', 'model.neck.queue_length=6')


# --- test.py -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('config', 'data', 'looked_for', 'source'),
    [
        ('cifar100/resnet18_cds', 'CIFAR100', 'cifar-100-python/train', 'https://www.cs.toronto.edu/'),
        ('cub/resnet50', 'CUB', 'images', 'https://www.vision.caltech.edu/datasets/cub_200_2011/'),
    ],
)
def test_test_data_that_are_not_there(
    config: str, data: str, looked_for: str, source: str, tool: Tool, tmp_path: Path
) -> None:
    """As in training: what was looked for, where it comes from and how it has to lie."""
    torch.save({'state_dict': {}}, tmp_path / 'epoch_1.pth')
    command = [f'configs/classification/{config}.py', str(tmp_path / 'epoch_1.pth')]
    with pytest.raises(FileNotFoundError) as error:
        tool('tools/test.py', *command, '--cfg-options', f'data_root={tmp_path}/none')
    message = str(error.value)
    assert message.startswith(f'test_dataloader.dataset: {data} is not there, looked for ')
    assert f"'{tmp_path}/none/{looked_for}'" in message
    assert source in message
    assert 'data_root=PATH' in message
    assert '\n' not in message


# --- analysis/compare.py -----------------------------------------------------------------------


def test_compare_writes_the_command_that_makes_the_page_again(tool: Tool, tmp_path: Path) -> None:
    """Paths as they were typed, and a note that has whatever a note may have."""
    pair = []
    for name in ('a run', 'other'):
        folder = tmp_path / name / '20260101_000000' / 'vis_data'
        folder.mkdir(parents=True)
        records = [{'time': 1.0, 'iter': 1, 'step': 1}, {'accuracy/top1': 50.0, 'step': 1}]
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, records)))
        pair.append(str(tmp_path / name))
    page = tmp_path / 'page.md'
    note = "One seed; trained by `tools/train.py`.\n\nIt's small."
    typed = ['tools/analysis/compare.py', '--pair', *pair, '--note', note, '--out', str(page)]
    tool(*typed)
    text = page.read_text()
    lines = text.splitlines()
    first = lines.index(next(line for line in lines if line.startswith('    ')))
    last = lines.index(next(line for line in lines[first:] if str(page) in line))
    command = '\n'.join(line.removeprefix('    ') for line in lines[first : last + 1])
    assert shlex.split(command) == ['python', *typed]
    assert f'\n\n{note}\n\n' in text
    page.unlink()
    tool(*shlex.split(command)[1:])
    assert page.read_text() == text


# --- train.py ----------------------------------------------------------------------------------


@pytest.mark.parametrize('there', [False, True])
def test_resume_with_nothing_to_resume_starts_from_load_from(
    there: bool, tool: Tool, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's own train.py, up to where it builds the Runner."""
    work, weights = tmp_path / 'work', tmp_path / 'weights.pth'
    cfg = toy_config(toy_data, work)
    cfg.dump(tmp_path / 'config.py')
    torch.save({'state_dict': {}}, weights)
    if there:
        work.mkdir()
        torch.save({'state_dict': {}}, work / 'epoch_1.pth')
        (work / 'last_checkpoint').write_text(str(work / 'epoch_1.pth'))
    built: list[Config] = []
    hooks: list[Any] = []

    def from_cfg(cfg: Config) -> SimpleNamespace:
        built.append(cfg)
        return SimpleNamespace(train=lambda: None, register_hook=hooks.append)

    monkeypatch.setattr(Runner, 'from_cfg', from_cfg)
    options = ['--work-dir', str(work), '--resume', '--cfg-options', f'load_from={weights}']
    tool('tools/train.py', str(tmp_path / 'config.py'), *options)
    from_where = str(work / 'epoch_1.pth' if there else weights)
    assert (built[0].get('resume', False), built[0].load_from) == (there, from_where)
    # The check of what is resumed is in the runner; the config that the run writes down is not changed by it.
    assert [type(hook).__name__ for hook in hooks] == ['ResumeCheckHook']
    assert 'ResumeCheckHook' not in built[0].pretty_text
    weights.unlink()
    if not there:
        with pytest.raises(FileNotFoundError, match=r"weights\.pth' does not exist"):
            tool('tools/train.py', str(tmp_path / 'config.py'), *options)


def test_a_file_of_another_kind_is_not_overwritten(tool: Tool, tmp_path: Path) -> None:
    kept = tmp_path / 'a.pth'
    kept.write_bytes(b'weights')
    with pytest.raises(ValueError, match=r"^--out='.*a\.pth' is no JSON file; give a name that ends with \.json$"):
        tool('tools/analysis/probe.py', 'no_config.py', str(kept), '--out', str(kept))
    with pytest.raises(ValueError, match=r"^--out='.*a\.pth' is no Markdown page; give a name that ends with \.md$"):
        tool('tools/analysis/compare.py', '--pair', str(tmp_path), str(tmp_path), '--out', str(kept))
    assert kept.read_bytes() == b'weights'
