"""The table says what the logs say."""

import json
from pathlib import Path

import pytest

from mmcds.analysis.runs.results_table import pair_table


def work_dir(root: Path, name: str, values: list[float], seconds: list[float]) -> str:
    folder = root / name / '20260101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    records: list[dict] = [
        {'lr': 1.0, 'time': s, 'iter': i + 1, 'epoch': 1, 'step': i + 1} for i, s in enumerate(seconds)
    ]
    records += [{'coco/bbox_mAP': value, 'time': 20.0, 'step': i + 1} for i, value in enumerate(values)]
    (folder / 'scalars.json').write_text('\n'.join(json.dumps(record) for record in records))
    (folder / 'config.py').write_text('randomness = dict(seed=7)\n')
    return str(root / name)


def test_last_evaluation_and_median_time(tmp_path: Path) -> None:
    base = work_dir(tmp_path, 'base', [0.5, 0.3], [1.0, 1.0, 9.0])
    other = work_dir(tmp_path, 'other', [0.2, 0.4], [2.0, 1.5, 1.0])
    assert pair_table([(base, other)]).splitlines() == [
        '| run | seed | epochs | AP | s / iteration |',
        '| --- | --- | --- | --- | --- |',
        '| base | 7 | 2 | 0.300 | 1.00 |',
        '| other | 7 | 2 | 0.400 (+0.100) | 1.50 (1.50 x) |',
    ]


def test_a_start_of_a_run_has_its_config(tmp_path: Path) -> None:
    base = work_dir(tmp_path, 'base', [0.5], [1.0])
    assert pair_table([(base, f'{base}/20260101_000000')]).splitlines()[3] == (
        '| 20260101_000000 | 7 | 1 | 0.500 (+0.000) | 1.00 (1.00 x) |'
    )


def test_without_an_evaluation(tmp_path: Path) -> None:
    base = work_dir(tmp_path, 'base', [], [1.0])
    with pytest.raises(ValueError, match=r"'base', 'base'.*coco/bbox_mAP"):
        pair_table([(base, base)])


def test_runs_of_other_packages_and_projects(tmp_path: Path) -> None:
    base = work_dir(tmp_path, 'base', [0.5], [1.0])
    for file in Path(base).rglob('*.json'):
        file.write_text(file.read_text().replace('coco/bbox_mAP', 'mIoU'))
    for file in Path(base).rglob('config.py'):
        file.write_text("randomness = dict(seed=3)\ncustom_imports = dict(imports=['nowhere'])\n")
    assert pair_table([(base, base)]).splitlines()[0] == '| run | seed | epochs | mIoU | s / iteration |'
    assert '| base | 3 | 1 | 0.500 | 1.00 |' in pair_table([(base, base)])
