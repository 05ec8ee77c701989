"""The pages in docs/ are those that the driver writes from the records in the repository."""

from pathlib import Path

import pytest
from preloaded import Preloaded

ROOT = Path(__file__).resolve().parents[2]
#: A matrix by the page that is made of it.
PUBLISHED = {
    'converged': 'results_converged',
    'classification': 'results_classification',
    'detection': 'results',
    'detection_cpu': 'results_cpu',
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
    assert (tmp_path / 'results.md').read_text() == published.replace(f'({PUBLISHED[name]}', '(results')
