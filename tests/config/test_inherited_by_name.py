"""A config that inherits a shipped one as ``mmcds::`` means the same classes as the shipped one.

MMEngine looks up the types of such a base in the scope mmcds, where a stock type without its package is unknown, or is
another class of the same name.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mmengine import registry
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

import mmcds.registry

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [
    str(path.relative_to(ROOT / 'configs')) for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts
]
REGISTRIES = [each for each in vars(registry).values() if isinstance(each, Registry)]


def types_in(value: Any, scope: str) -> Iterator[tuple[str, str]]:
    """Every type that is written as a name, with the scope in which it is looked up."""
    if isinstance(value, dict):
        scope = value.get('_scope_', scope)
        if isinstance(value.get('type'), str):
            yield value['type'], scope
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from types_in(each, scope)


def meant(name: str, scope: str) -> list[Any]:
    """What each of MMEngine's registries has under a name."""
    with DefaultScope.overwrite_default_scope(scope):
        found = []
        for root in REGISTRIES:
            with root.switch_scope_and_registry(scope) as inner:
                found.append(inner.get(name))
    return found


@pytest.mark.parametrize('path', sorted(CONFIGS))
def test_types_are_those_of_the_shipped_config(path: str, tmp_path: Path) -> None:
    if 'yolov8' in path:
        pytest.importorskip('mmyolo')
    (tmp_path / 'mine.py').write_text(f"_base_ = 'mmcds::{path}'\n")
    mine, shipped = Config.fromfile(tmp_path / 'mine.py'), Config.fromfile(ROOT / 'configs' / path)
    scope = shipped.get('default_scope', 'mmdet')
    pytest.importorskip(scope)
    names = {name for name, found in types_in(mine._cfg_dict, scope) if found == 'mmcds'}
    # The parts of the contrast are built by their bare names.
    stock = [name for name in sorted(names) if name not in mmcds.registry.MODELS.module_dict]
    assert [name for name in stock if meant(name, 'mmcds') != meant(name, scope)] == []
