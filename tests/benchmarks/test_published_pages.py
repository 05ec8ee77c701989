"""The pages in docs/ are those that the driver writes from the records in the repository."""

import re
from pathlib import Path

import pytest
from preloaded import Preloaded

ROOT = Path(__file__).resolve().parents[2]
#: A matrix by the page that is made of it.
PUBLISHED = {
    'converged': 'results_converged',
    'classification': 'results_classification_short',
    'classification_converged': 'results_classification',
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


NUMBER = re.compile(r'[+-]\d+\.\d\d(?: ± \d+\.\d\d)?')


def lines_of(page: str) -> list[str]:
    return (ROOT / 'docs' / page).read_text().replace('\u00a0', ' ').splitlines()


def verdict_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith('| [')]


@pytest.mark.parametrize('file', ['README.md', 'docs/results_detection.md'])
def test_the_verdicts_repeat_the_pages(file: str) -> None:
    """Each row of differences, with its number of seeds, is a row of the page that it links to."""
    text = (ROOT / file).read_text().replace('\u00a0', ' ')
    rows = verdict_rows(text[text.index('| training | seeds |') :].partition('\n\n')[0])
    assert 4 <= len(rows) <= (6 if file == 'README.md' else 12)
    for row in rows:
        page = re.search(r'\((?:docs/)?(results\w*\.md)\)', row)
        seeds, *numbers = (cell.strip() for cell in row.strip('|').split('|')[1:])
        assert page is not None, row
        assert len(numbers) == 3, row
        assert all(map(NUMBER.fullmatch, numbers)), row
        assert any(
            f'| {seeds} |' in line and all(f'| {number} |' in line for number in numbers) for line in lines_of(page[1])
        ), row


def test_the_readme_repeats_the_classification() -> None:
    """Each number is on the page that is linked before it."""
    text = (ROOT / 'README.md').read_text()
    sentence = text[text.index('\nClassification') :].partition('\n\n')[0].replace('\n', ' ')
    _, *parts = re.split(r'\(docs/(results\w*\.md)\)', sentence)
    found = {page: NUMBER.findall(after) for page, after in zip(parts[::2], parts[1::2], strict=True)}
    assert {page: len(numbers) for page, numbers in found.items()} == {
        'results_classification.md': 2,
        'results_classification_short.md': 2,
    }
    for page, numbers in found.items():
        assert all(any(number in line for line in lines_of(page)) for number in numbers)
