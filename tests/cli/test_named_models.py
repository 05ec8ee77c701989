"""The command line of the analysis tools: the models in their order, and what is wrong said before one is built."""

from pathlib import Path

import pytest
import torch

from mmcds.cli.named_models import model_parser, named_models

CONFIG, STOCK = 'configs/cds/faster_rcnn_r18_cds_shapes.py', 'configs/shapes/faster_rcnn_r18_shapes.py'


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    torch.save({'state_dict': {}}, tmp_path / 'a.pth')
    return str(tmp_path / 'a.pth')


def test_the_other_model_comes_first(checkpoint: str) -> None:
    arguments = [CONFIG, checkpoint, '--against', STOCK, checkpoint, '--cfg-options', 'train_dataloader.batch_size=3']
    other, model = named_models(model_parser('doc', against='help').parse_args(arguments))
    assert (other.config, model.config) == (STOCK, CONFIG)
    assert (other.cfg.model.neck.type, model.cfg.model.neck.type) == ('FPN', 'mmcds.CDSNeck')
    assert [each.cfg.train_dataloader.batch_size for each in (other, model)] == [3, 3]


def test_cds_is_added_to_the_model_alone(checkpoint: str) -> None:
    arguments = [STOCK, checkpoint, '--cds', '--against', STOCK, checkpoint]
    other, model = named_models(model_parser('doc', against='help').parse_args(arguments))
    assert (other.cfg.model.neck.type, model.cfg.model.neck.type) == ('FPN', 'mmcds.CDSNeck')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([CONFIG, 'none.pth'], r"^checkpoint='none\.pth' does not exist"),
        ([CONFIG, 'none.pth', '--device', 'gpu'], r"^--device='gpu' is not known; valid: cpu"),
    ],
)
def test_what_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        named_models(model_parser('doc').parse_args(arguments))


def test_one_model_only(checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        model_parser('doc').parse_args([CONFIG, checkpoint, '--against', STOCK, checkpoint])
    assert 'unrecognized arguments' in capsys.readouterr().err
