"""The page of the paper's tables names configs that are there, and is the one that is committed."""

from pathlib import Path

import pytest

from benchmarks.experiments.paper import CIFAR100, page, tables

ROOT = Path(__file__).resolve().parents[2]
ROWS = [row for rows in tables().values() for row in rows]


def test_every_row_has_a_config() -> None:
    missing = [row.config for row in ROWS if not (ROOT / row.config).is_file()]
    assert missing == []
    assert len({(row.config, row.options, row.what) for row in ROWS}) == len(ROWS)


def test_the_average_gain_is_the_paper_s() -> None:
    gains = [ours - base for ours, base in zip(CIFAR100['CDS'], CIFAR100['baseline'], strict=True)]
    assert sum(gains) / len(gains) == pytest.approx(3.44, abs=0.005)


def test_the_committed_page_is_the_driver_s() -> None:
    assert (ROOT / 'docs' / 'paper.md').read_text() == page(None)


def test_what_was_run_here_stands_in_its_row(tmp_path: Path) -> None:
    folder = tmp_path / 'cifar100' / 'resnet18_cds' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('{"accuracy/top1": 12.5, "calibration/ece": 3.25, "step": 300}\n')
    lines = [line for line in page(tmp_path).splitlines() if 'cifar100/resnet18_cds.py' in line]
    assert [line.rsplit('|', 2)[1].strip() for line in lines] == ['12.50', '3.25']
    assert page(tmp_path).count('not run') == len(ROWS) - 2


def test_the_options_of_a_row_are_read_by_its_config() -> None:
    from mmcds.config.load_config import load_config

    for row in {row.options.partition('=')[0]: row for row in ROWS if row.options}.values():
        key = row.options.partition('=')[0]
        if key == 'teacher_checkpoint':
            continue  # tools/train.py gives it to the DistillHook
        cfg: object = load_config(str(ROOT / row.config))
        for part in key.split('.'):
            assert part in cfg, (row.config, key)  # type: ignore[operator]
            cfg = cfg[part]  # type: ignore[index]
