"""What the command-line tools share: one line for a user's mistake, and the hosts' own entry points."""

import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

from mmengine.config import Config

from .config import package_configs

#: Exceptions that stand for a mistake in a command, a config or the data rather than in the program.
USER_ERRORS = (ValueError, KeyError, FileNotFoundError, ImportError, OSError)


def run(main: Callable[[], int | None]) -> None:
    """Run a tool's ``main`` and end the process with its exit code.

    A mistake of the user's is printed as one line and ends with 2, an interrupt with 130. Set
    ``MMCDS_TRACEBACK=1`` to see where it came from. Other exceptions keep their traceback.
    """
    try:
        code = main() or 0
    except (*USER_ERRORS, AssertionError) as error:
        text = one_line(error)
        # mmcv says with an assertion that an image of a test set is broken; other assertions are bugs.
        if os.environ.get('MMCDS_TRACEBACK') == '1' or (
            isinstance(error, AssertionError) and 'failed to load image' not in text
        ):
            raise
        print(f'error: {text}', file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print('interrupted; checkpoints and logs written so far are kept, go on with --resume', file=sys.stderr)
        code = 130
    # Not os._exit: data loader workers and process groups still have to end.
    logging.shutdown()
    sys.exit(code)


def host_tool(package: str, name: str) -> ModuleType:
    """mmdet's or mmpretrain's own ``train.py`` or ``test.py``, as a module.

    Args:
        package (str): 'mmdet' or 'mmpretrain'.
        name (str): File name in the package's ``.mim/tools``.

    Raises:
        FileNotFoundError: If the installed package does not ship it.
    """
    path = package_configs(package).parent / 'tools' / name
    if not path.is_file():
        raise FileNotFoundError(f'{package} does not ship .mim/tools/{name}; install it from its wheel, not editable')
    spec = importlib.util.spec_from_file_location(f'{package}_tools_{path.stem}', path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f'{path} is not a Python file')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def one_line(error: BaseException) -> str:
    """What an exception says, in one line, without the traceback that a data loader worker puts into it."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if 'Original Traceback' in text:
        text = text.strip().splitlines()[-1]
    return ' '.join(text.split()) or type(error).__name__


@contextmanager
def prepared(host: ModuleType, cfg: Config, argv: list[str]) -> Iterator[None]:
    """Let a host tool's ``main()`` find a config that is already loaded, and these arguments.

    Args:
        host (ModuleType): From :func:`host_tool`.
        cfg (Config): What its ``Config.fromfile`` returns.
        argv (list[str]): Its arguments, without the program's name.
    """
    stock_config, stock_argv = host.Config, sys.argv
    host.Config = SimpleNamespace(fromfile=lambda *args, **kwargs: cfg)  # type: ignore[attr-defined]
    sys.argv = [stock_argv[0], *argv]
    try:
        yield
    finally:
        host.Config = stock_config  # type: ignore[attr-defined]
        sys.argv = stock_argv
