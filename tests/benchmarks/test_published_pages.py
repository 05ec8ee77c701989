"""The pages in docs/ are those that the driver writes from the records in the repository."""

import re
from pathlib import Path

import pytest
from preloaded import Preloaded

ROOT = Path(__file__).resolve().parents[2]
#: A matrix by the page that is made of it.
PUBLISHED = {
    'converged': 'results_converged',
    'classification': 'results_classification',
    'deeppcb': 'results_pcb',
    'deeppcb_screening': 'results_pcb_screening',
    'detection': 'results',
    'few_objects': 'results_few_objects',
    'protocol': 'results_protocol',
    'screening': 'results_screening',
}
RECORDED = sorted(each.name for each in (ROOT / 'benchmarks/experiments/records').iterdir())


@pytest.mark.slow
@pytest.mark.parametrize('name', RECORDED)
def test_a_second_call_writes_the_same_page(name: str, preloaded: Preloaded, tmp_path: Path) -> None:
    command = ['benchmarks/experiments/run.py', f'benchmarks/experiments/{name}_matrix.py', '--page-only']
    done = preloaded.run(*command, '--work-dir', str(tmp_path))
    assert done.returncode == 0, done.stderr
    published = (ROOT / f'docs/{PUBLISHED[name]}.md').read_text()
    # Figures are called after their page.
    figures = re.compile(rf'\({PUBLISHED[name]}(?=\w*\.png\))')
    assert (tmp_path / 'results.md').read_text() == figures.sub('(results', published)


def test_the_readme_repeats_the_pages() -> None:
    """Each difference in the README stands on the page that its row or sentence links to."""
    text = (ROOT / 'README.md').read_text()
    section = text[text.index('## Does it help?') : text.index('**Cost**')]
    rows = [line for line in section.splitlines() if line.startswith('| [')]
    sentence = section[section.index('Classification') :].replace('\n', ' ')
    assert 4 <= len(rows) <= 6
    for part in (*rows, sentence):
        page = re.search(r'\((docs/results\w*\.md)\)', part)
        numbers = re.findall(r'[+-]\d+\.\d\d ± \d+\.\d\d', part)
        assert page is not None
        assert len(numbers) >= 2, part
        lines = (ROOT / page[1]).read_text().replace('\u00a0', ' ').splitlines()
        # A row's numbers are of one row there.
        held = [line for line in lines if all(f'| {number} |' in line for number in numbers)]
        assert held or (part is sentence and all(any(number in line for line in lines) for number in numbers)), part
