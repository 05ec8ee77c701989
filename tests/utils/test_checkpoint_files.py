"""Files are replaced whole, also where two processes write the same one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmcds.utils.checkpoint_files import renamed_last

OTHER = """
import sys
from mmcds.utils.checkpoint_files import renamed_last
with renamed_last(sys.argv[1]) as partial:
    partial.write_text('other')
"""


def test_another_process_writes_the_same_file(tmp_path: Path) -> None:
    target = tmp_path / 'folder' / 'init.pth'
    with renamed_last(target) as partial:
        partial.write_text('this')
        subprocess.run([sys.executable, '-c', OTHER, str(target)], check=True)
        assert target.read_text() == 'other'
    assert target.read_text() == 'this'
    assert [path.name for path in target.parent.iterdir()] == ['init.pth']


def test_the_same_content_gives_the_same_file(tmp_path: Path) -> None:
    files = [tmp_path / folder / 'a.pth' for folder in 'xy']
    for file in files:
        with renamed_last(file) as partial:
            torch.save({'weight': torch.ones(2)}, partial)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_an_error_leaves_the_target(tmp_path: Path) -> None:
    target = tmp_path / 'init.pth'
    target.write_text('before')

    def interrupted() -> None:
        with renamed_last(target) as partial:
            partial.write_text('half')
            raise ValueError('interrupted')

    with pytest.raises(ValueError, match='interrupted'):
        interrupted()
    assert target.read_text() == 'before'
    assert list(tmp_path.iterdir()) == [target]
