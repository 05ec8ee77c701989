"""Reads each YAML text once: MMEngine reads all metafiles of a package, for a second, where a config inherits one."""

from functools import cache
from io import StringIO
from typing import Any

from mmengine.fileio import YamlHandler, register_handler


@cache
def parsed_yaml(text: str) -> Any:
    return YamlHandler().load_from_fileobj(StringIO(text))


@register_handler(['yaml', 'yml'])
class CachedYamlHandler(YamlHandler):
    """MMEngine's handler, with a cache."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        return super().load_from_fileobj(file, **kwargs) if kwargs else parsed_yaml(file.read())
