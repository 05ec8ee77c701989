"""The table of targets, and the arguments of the benchmarks behind it."""

import json
import re
import sys
from dataclasses import asdict
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.speed.headline import Headline, write_headlines

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> Any:
    """A script of benchmarks/speed as a module."""
    spec = spec_from_file_location(name, ROOT / 'benchmarks/speed' / f'{name}.py')
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # where a dataclass looks for its module
    spec.loader.exec_module(module)
    return module


cost, step_cost, launches = script('cost'), script('step_cost'), script('launches')


@pytest.mark.parametrize(
    ('value', 'target', 'at_least', 'met'),
    [
        (1.15, 1.15, False, True),
        (1.154, 1.15, False, True),  # as it is printed
        (1.156, 1.15, False, False),
        (3.0, 3, True, True),
        (2.99, 3, True, False),
        (2e-6, 1e-6, False, False),
        (2e-16, 1e-6, False, True),
    ],
)
def test_met_or_missed(value: float, target: float, at_least: bool, met: bool) -> None:
    assert cost.Row('x', 'b', 'k', target, at_least).met(Headline('k', value, value, value)) is met


def test_a_missed_row_says_by_how_much() -> None:
    cells = cost.Row('x', 'b', 'k', 2.0).cells(Headline('k', 2.3, 2.2, 2.4))
    assert cells == ['x', '<= 2 x', '2.30 x', '2.20 .. 2.40', '**missed by 15%**']


def test_noise_is_neither_met_nor_missed() -> None:
    cells = cost.Row('x', 'b', 'k', 1.1, unit='').cells(Headline('k', *[float('nan')] * 3))
    assert cells == ['x', '<= 1.1', 'lost in noise', '', 'not settled']


def test_every_row_names_a_benchmark_that_exists() -> None:
    known = cost.commands(1, gpu=True)
    assert {row.benchmark for row in cost.rows()} <= set(known)
    for name, *arguments in known.values():
        assert (ROOT / 'benchmarks/speed' / name).is_file()
        for word in arguments:
            if word.endswith('.py') and '::' not in word:
                assert (ROOT / word).is_file(), word


def test_page_of_one_machine(tmp_path: Path) -> None:
    row = cost.rows()[0]
    write_headlines(tmp_path / f'{row.benchmark}.json', [Headline(row.key, 1.0, 0.9, 1.1)])
    text = cost.page([tmp_path, tmp_path / 'nothing'])
    assert f'| {row.what} | <= 1.01 x | 1.00 x | 0.90 .. 1.10 | met |' in text
    assert 'Not measured here: ' in text
    assert text.count('\n## On ') == 1


def test_a_folder_of_two_machines_has_two_tables(tmp_path: Path) -> None:
    first, last = cost.rows()[0], cost.rows()[-1]
    for row, machine in ((first, 'one GPU'), (last, 'another GPU')):
        content = {'machine': machine, 'command': [], 'headlines': [asdict(Headline(row.key, 1.0, 1.0, 1.0))]}
        (tmp_path / f'{row.benchmark}.json').write_text(json.dumps(content))
    one, another = cost.page([tmp_path]).split('\n## On ')[1:]
    assert one.startswith('one GPU\n')
    assert first.what in one
    assert last.what not in one
    assert another.startswith('another GPU\n')
    assert last.what in another
    assert first.what not in another


def test_links_of_the_page_lead_to_pages_that_are_written() -> None:
    names = re.findall(r'\(cost/(\w+)\.md\)', (ROOT / 'benchmarks/speed/cost_page.md').read_text())
    assert set(names) == set(cost.commands(1))


def test_memory_beside_ours() -> None:
    found = {'mmcds': 10, 'released form': 200, 'mmcds, no labels': 5, 'pytorch-metric-learning': float('inf')}
    values = {f'memory 8: {name}': Headline('', mib, mib, mib) for name, mib in found.items()}
    assert cost.memory_rows(values, [8, 16]) == [
        ['8', 'released form', '200', '10', '1/20'],
        ['8', 'pytorch-metric-learning', 'does not fit', '10', ''],
        ['8', 'lightly', 'not measured', '5', ''],
    ]


def test_variant() -> None:
    found = step_cost.variant('full size: view.type=PhotometricView view.scale=1.0 taps=[neck.0]')
    assert found == (
        'full size',
        {
            'model.neck.view.type': 'PhotometricView',
            'model.neck.view.scale': 1.0,
            'model.neck.taps': ['neck.0'],
        },
    )


@pytest.mark.parametrize('text', ['no colon', 'name:', 'name: key', ''])
def test_bad_variant(text: str) -> None:
    with pytest.raises(ValueError, match='name: key=value'):
        step_cost.variant(text)


def test_kernels_are_counted_and_views_are_not() -> None:
    x, y = torch.ones(2, 3, requires_grad=True), torch.ones(3, 4)
    with launches.LaunchCounter() as counter:
        x.view(6).detach()
        torch.empty(3)
        assert counter.launches == 0
        z = (x @ y).sum()  # a product and a sum
        assert counter.launches == 2
        z.backward()  # a gradient that is filled with ones, a product
    assert counter.found == {'mm': 2, 'sum': 1, 'ones_like': 1}


def test_both_tables_are_of_the_same_detectors() -> None:
    assert dict(cost.DETECTORS.values()) == launches.DETECTORS
