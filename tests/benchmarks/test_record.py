"""Records of runs."""

from pathlib import Path

import pytest
from mmengine.config import Config

from benchmarks.experiments import record


@pytest.mark.parametrize('root', ['/r', '/a/much/longer/path/of/a/clone/in/a/scratch/folder'])
def test_the_digest_does_not_depend_on_where_the_repository_lies(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The formatter breaks a line at one length of the path and not at another."""

    def load(config: str) -> Config:
        weights = dict(type='Pretrained', checkpoint=f'{record.ROOT}/work_dirs/of/an/arm.pth')
        return Config(dict(model=dict(backbone=dict(type='ResNet', depth=50, init_cfg=weights), neck=dict(type='FPN'))))

    digest = record.digest_of('a.py', {}, load=load)
    monkeypatch.setattr(record, 'ROOT', Path(root))
    assert record.digest_of('a.py', {}, load=load) == digest
