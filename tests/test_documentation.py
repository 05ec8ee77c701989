"""The documentation names what there is: tools, their options, configs, pages; and builds without a warning."""

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from mmcds.config.load_config import package_configs

ROOT = Path(__file__).resolve().parents[1]
#: Written while the site is built.
MADE = ('config_fields.md', 'command_lines.md')
PAGES = [
    ROOT / 'README.md',
    ROOT / 'CHANGELOG.md',
    *(page for page in sorted((ROOT / 'docs').rglob('*.md')) if page.name not in MADE),
]
COMMAND = re.compile(r'(?:python (?:tools|benchmarks)/|python -m mmcds|tools/\w+\.sh)')
LINK = re.compile(r'\]\(([^)#\s]+)(?:#[^)]*)?\)')


def commands(page: Path) -> list[str]:
    """Every command of a page: in code blocks, line continuations joined, and between backticks."""
    text = '\n'.join(line for line in page.read_text().splitlines() if not line.lstrip().startswith('#'))
    text = text.replace('\\\n', ' ')
    found = [line.strip() for line in text.splitlines()] + re.findall(r'`([^`\n]+)`', text)
    return [each for each in found if COMMAND.match(each)]


def links(page: Path) -> list[str]:
    """Every link of a page to another file of the repository."""
    return [target for target in LINK.findall(page.read_text()) if '://' not in target]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


PAGES_WITH_COMMANDS = [page for page in PAGES if commands(page)]
PAGES_WITH_LINKS = [page for page in PAGES if links(page)]


@cache
def help_of(tool: str) -> str:
    if tool.endswith('.sh'):
        command = [str(ROOT / tool), '--help']
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    # In this process: in one of its own each tool would import torch again.
    start = partial(runpy.run_path, str(ROOT / tool))
    if tool.startswith('-m '):
        start = partial(runpy.run_module, tool.removeprefix('-m '), alter_sys=True)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.chdir(ROOT)
        patch.setattr(sys, 'argv', [tool, '--help'])
        patch.setattr(sys, 'path', [str(ROOT / tool.rpartition('/')[0]), *sys.path])
        patch.setattr(os, 'environ', os.environ.copy())
        with pytest.raises(SystemExit) as end:
            start(run_name='__main__')
    assert not end.value.code
    return out.getvalue()


@pytest.mark.parametrize('page', PAGES_WITH_COMMANDS, ids=name)
def test_commands(page: Path) -> None:
    for command in commands(page):
        words = shlex.split(command, comments=True)
        words = words[1:] if words[0] == 'python' else words
        tool = f'-m {words[1]}' if words[0] == '-m' else words[0]
        assert tool.startswith('-m') or (ROOT / tool).is_file(), command
        text = help_of(tool)
        for step in ('train', 'test'):
            # What starts ranks hands its options on.
            text += help_of(f'tools/{step}.py') if f'_{step}.sh' in tool else ''
        for word in words:
            option = word.partition('=')[0]
            if re.fullmatch(r'--[a-z][a-z-]+', option):
                assert re.search(rf'{option}(?![\w-])', text), f'{command}: no {option}'
            if re.fullmatch(r'(configs|benchmarks)/[\w/.-]+\.py', word):
                assert (ROOT / word).is_file(), command
            if re.fullmatch(r'mm\w+::[\w/.-]+\.py', word):
                package, _, path = word.partition('::')
                assert (package_configs(package) / path).is_file(), command


def test_the_table_of_tools_names_their_arguments() -> None:
    """Every row of docs/tools.md against the tool's own usage."""
    rows = re.findall(r'^\| `(?:tools/)?(\w+\.py)([^`]*)`', (ROOT / 'docs/tools.md').read_text(), re.MULTILINE)
    assert len(rows) > 12
    for name, words in rows:
        (tool,) = (path for path in (ROOT / 'tools' / name, ROOT / 'tools/analysis' / name) if path.is_file())
        section = help_of(str(tool.relative_to(ROOT))).partition('positional arguments:\n')[2].partition('\n\n')[0]
        positional = set(re.findall(r'^  (\w+)', section, re.MULTILINE))
        for word in words.partition('--')[0].split():
            singular = word.rstrip('…').lower()
            assert {singular, f'{singular}s', f'{singular[:-1]}ies'} & positional, f'{name}: {word}, {positional}'


def test_no_page_is_left_out() -> None:
    """What is parametrised by the pages with commands, or with links, covers those that a plainer search finds."""
    assert {page for page in PAGES if COMMAND.search(page.read_text())} == set(PAGES_WITH_COMMANDS)
    assert {page for page in PAGES if re.search(r'\]\([\w.]', page.read_text())} >= set(PAGES_WITH_LINKS)
    assert sum(len(links(page)) for page in PAGES) > 80
    assert ROOT / 'README.md' in PAGES_WITH_LINKS


def test_there_are_commands() -> None:
    found = [command for page in PAGES for command in commands(page)]
    assert len(found) > 60
    tools = {command.split()[1] for command in found if command.startswith('python tools/')}
    shipped = {str(p.relative_to(ROOT)) for p in [*ROOT.glob('tools/*.py'), *ROOT.glob('tools/analysis/*.py')]}
    # Each tool is shown in use, or stands in the table of all.
    table = (ROOT / 'docs/tools.md').read_text()
    assert {tool for tool in shipped - tools if Path(tool).name not in table} <= {'tools/analysis/families.py'}


def test_the_driver_follows_every_page_with_commands() -> None:
    """benchmarks/speed/follow_docs.py runs what stands in a block; what a table or a sentence names is run by tests."""
    driver = runpy.run_path(str(ROOT / 'benchmarks/speed/follow_docs.py'))
    followed = {ROOT / page for page in driver['PAGES']}
    # Run by tests/test_other_packages.py, tests/examples/test_your_data.py and tests/smoke/test_commands.py.
    elsewhere = {ROOT / f'docs/{name}.md' for name in ('other_packages', 'your_data', 'tools')}
    assert {page for page in PAGES if driver['commands'](page)} == followed | elsewhere
    assert len([command for page in followed for command in driver['commands'](page)]) > 20


def test_every_python_class_that_pages_name_is_there() -> None:
    import mmcds.analysis.metrics
    import mmcds.apis
    import mmcds.datasets
    import mmcds.datasets.transforms  # noqa: F401
    from mmcds.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS

    named = {(page, each) for page in PAGES for each in re.findall(r"type='mmcds\.(\w+)'", page.read_text())}
    assert {'CDSNeck', 'CDSHook'} < {each for _, each in named}
    registries = (MODELS, HOOKS, DATASETS, TRANSFORMS, METRICS)
    assert [(page, each) for page, each in named if not any(registry.get(each) for registry in registries)] == []


def test_the_samplers_of_the_page_on_extending_work() -> None:
    from mmcds.models import ViewPair

    blocks = re.findall(r'```python\n(.*?)```', (ROOT / 'docs/extending.md').read_text(), re.S)
    content: dict = {}
    for block in blocks:
        if 'InstanceSampler' in block:
            exec(block, content)
    sampler = content['LargeInstances'](least=32, max_per_image=1)
    boxes = [torch.tensor([[0.0, 0, 40, 40], [0, 0, 20, 90], [9, 9, 60, 60]]), torch.tensor([[0.0, 0, 33, 50]])]
    sizes, labels = torch.tensor([[99.0, 99]] * 2), [torch.tensor([3, 4, 5]), torch.tensor([6])]
    views = ViewPair(((99, 99), (99, 99)), (sizes, sizes), torch.full((2,), -1), (boxes, boxes), labels, None)
    found = sampler.sample(views)
    assert found.labels[0] in (3, 5)
    assert found.labels[1:].tolist() == [6]
    assert found.rois[0][:, 0].tolist() == [0, 1]
    largest = content['LargestInstances'](count=1).sample(views)
    assert largest.labels.tolist() == [5, 6]
    assert largest.rois[0].tolist() == [[0, 9, 9, 60, 60], [1, 0, 0, 33, 50]]
    by_size = content['InstancesBySize'](areas=(1700, 2000)).sample(views)
    assert by_size.labels.tolist() == [0, 1, 2, 0]
    assert not content['InstancesBySize']().labels_are_classes


@pytest.mark.parametrize('page', PAGES_WITH_LINKS, ids=name)
def test_links(page: Path) -> None:
    assert [target for target in links(page) if not (page.parent / target).exists()] == []


@pytest.mark.slow
@pytest.mark.skipif(find_spec('sphinx') is None, reason='pip install -r requirements/docs.txt')
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-E', str(ROOT / 'docs'), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / 'api.html').read_text().count('class="sig ') > 20
