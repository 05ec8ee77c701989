"""Whole and broken checkpoint files."""

import os
from pathlib import Path

import pytest
import torch

from mmcds.checkpoints.files import check_resume, latest_checkpoint
from mmcds.engine.weights import without_cds
from mmcds.utils.checkpoint_files import check_checkpoint, load_checkpoint, names_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for epoch in (1, 2):
        torch.save({'state_dict': {'a': torch.ones(1000) * epoch}}, tmp_path / f'epoch_{epoch}.pth')
    return tmp_path


def test_a_whole_one_is_loaded(folder: Path) -> None:
    assert load_checkpoint(folder / 'epoch_2.pth')['state_dict']['a'][0] == 2


def test_a_bare_state_dict_is_wrapped(tmp_path: Path) -> None:
    torch.save({'a': torch.ones(1)}, tmp_path / 'a.pth')
    assert list(load_checkpoint(tmp_path / 'a.pth')) == ['state_dict']


def test_the_format_before_zip_is_read(tmp_path: Path) -> None:
    torch.save({'a': torch.ones(1)}, tmp_path / 'a.pth', _use_new_zipfile_serialization=False)
    assert 'a' in load_checkpoint(tmp_path / 'a.pth')['state_dict']


@pytest.mark.parametrize('keep', [0, 10, 500, -1])
def test_cut_short(folder: Path, keep: int) -> None:
    cut = folder / 'epoch_3.pth'
    cut.write_bytes((folder / 'epoch_2.pth').read_bytes()[:keep])
    with pytest.raises(ValueError, match=r'epoch_3\.pth.*cut short.*whole checkpoints.*epoch_2\.pth'):
        check_checkpoint(cut)


def test_missing(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'epoch_9\.pth.*does not exist.*epoch_1\.pth, epoch_2\.pth'):
        check_checkpoint(folder / 'epoch_9.pth')


def test_not_weights(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match='holds a list'):
        load_checkpoint(tmp_path / 'list.pth')


def test_addresses_are_left_to_the_loader() -> None:
    check_checkpoint('https://example.org/a.pth')


def test_resume(folder: Path) -> None:
    assert check_resume(None, str(folder)) is None
    assert check_resume('auto', str(folder)) is None
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_2.pth'))
    assert check_resume('auto', str(folder)) == str(folder / 'epoch_2.pth')
    (folder / 'epoch_2.pth').write_bytes(b'PK')
    with pytest.raises(ValueError, match=r'epoch_1\.pth'):
        check_resume('auto', str(folder))


def test_resume_in_a_folder_that_was_moved(folder: Path) -> None:
    (folder / 'last_checkpoint').write_text('/elsewhere/epoch_2.pth')
    assert check_resume('auto', str(folder)) == str(folder / 'epoch_2.pth')
    (folder / 'last_checkpoint').write_text('/elsewhere/epoch_3.pth')
    with pytest.raises(FileNotFoundError, match=r'epoch_3\.pth.*whole checkpoints.*epoch_2\.pth'):
        check_resume('auto', str(folder))


def test_names_tell_checkpoints_apart() -> None:
    assert names_of(['a/cds/epoch_1.pth']) == ['cds/epoch_1']
    assert names_of(['a/cds/epoch_1.pth', 'a/stock/epoch_1.pth']) == ['cds/epoch_1', 'stock/epoch_1']
    assert names_of(['a/seed0/epoch_1.pth', 'b/seed0/epoch_1.pth']) == ['a/seed0/epoch_1', 'b/seed0/epoch_1']
    assert names_of(['a/b/c.pth'] * 2) == ['b/c'] * 2


def test_without_cds() -> None:
    weights = {'neck.cds.queues.a': 1, 'neck.a': 2, 'backbone.cds.b': 3, 'module.neck.cds.c': 4}
    assert list(without_cds(weights)) == ['neck.a', 'backbone.cds.b']


def test_a_run_killed_while_it_noted_its_checkpoint_goes_on_from_the_last_whole_one(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    for number, name in enumerate(('epoch_1', 'epoch_2', 'best_epoch_2')):
        torch.save({'state_dict': {}}, tmp_path / f'{name}.pth')
        os.utime(tmp_path / f'{name}.pth', (number, number))
    (tmp_path / 'epoch_3.pth').write_bytes(b'PK cut short')
    (tmp_path / 'last_checkpoint').write_text('')
    assert latest_checkpoint(tmp_path) == tmp_path / 'epoch_2.pth'
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    assert latest_checkpoint(tmp_path) == tmp_path / 'epoch_1.pth'


def test_a_copied_run_goes_on_from_its_own_checkpoint(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp('copy')
    (copy / 'epoch_2.pth').write_bytes((folder / 'epoch_2.pth').read_bytes())
    (copy / 'last_checkpoint').write_text(str(folder / 'epoch_2.pth'))
    assert check_resume('auto', str(copy)) == str(copy / 'epoch_2.pth')
    (copy / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
    assert check_resume('auto', str(copy)) == str(folder / 'epoch_1.pth')


def test_a_folder_is_a_checkpoint_of_deepspeed(tmp_path: Path) -> None:
    (tmp_path / 'epoch_1.pth').mkdir()
    with pytest.raises(ValueError, match=r'is a folder; give a file; whole checkpoints in .*: none'):
        check_checkpoint(tmp_path / 'epoch_1.pth')
    (tmp_path / 'epoch_1.pth/mp_rank_00_model_states.pt').touch()
    check_checkpoint(tmp_path / 'epoch_1.pth')


def test_a_work_directory_is_no_checkpoint(folder: Path) -> None:
    with pytest.raises(ValueError, match=r'is a folder; give a file; whole checkpoints in .*: .*epoch_2\.pth'):
        check_checkpoint(folder)


def test_an_address_stays_as_it_is(tmp_path: Path) -> None:
    assert check_resume('https://host.org/run/epoch_3.pth', str(tmp_path)) == 'https://host.org/run/epoch_3.pth'
    check_checkpoint(Path('https://host.org/run/epoch_3.pth'))
