"""Entry point of the command-line tools: a user's mistake becomes one line and an exit status."""

import logging
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

#: Exceptions that stand for a mistake in a command, a config or the data rather than in the program.
USER_ERRORS = (ValueError, KeyError, FileNotFoundError, ImportError, OSError, UnpicklingError)
#: What other packages say, as a part of it, with what to do about it.
REMEDIES = {
    "doesn't match the size of optimizer's group": 'the checkpoint was trained with another model or optimizer; '
    'give the config that it was trained with, or load_from=CHECKPOINT without --resume',
    'different number of parameter groups': 'the checkpoint was trained with another model or optimizer; '
    'give the config that it was trained with, or load_from=CHECKPOINT without --resume',
    'torch.utils.checkpoint: ': 'with CDS, a backbone that computes activations again by a switch of its own does '
    'this; switch that off, neck.recompute=True saves the memory',
    'is killed by signal': 'the system ended a data loader worker, mostly for want of (shared) memory; '
    'set train_dataloader.num_workers lower',
    'exited unexpectedly': 'a data loader worker ended; set train_dataloader.num_workers=0 to see why',
}
_HINT = 'MMCDS_TRACEBACK=1 shows where it came from'
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)\n\s*(.*)')
_PACKAGE = Path(__file__).resolve().parents[1]


def run(main: Callable[[], int | None]) -> None:
    """Run a tool's ``main`` and end the process with its exit code.

    A mistake of the user's is printed as one line and ends with 2, an interrupt with 130. Set
    ``MMCDS_TRACEBACK=1`` to see where it came from. Other exceptions keep their traceback.
    """
    try:
        code = main() or 0
    except Exception as error:
        if os.environ.get('MMCDS_TRACEBACK') == '1' or not is_user_error(error):
            raise
        print(f'error: {described(error)}', file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print('interrupted; checkpoints and logs written so far are kept, go on with --resume', file=sys.stderr)
        code = 130
    # Not os._exit: data loader workers and process groups still have to end.
    logging.shutdown()
    sys.exit(code)


def is_user_error(error: Exception) -> bool:
    """Whether an exception stands for a mistake in a command, a config or the data; others are bugs."""
    text = one_line(error)
    # mmcv says with an assertion that an image of a test set is broken; torch ends dead workers with a RuntimeError.
    frame = _last_frame(error)
    named = isinstance(error, TypeError) and 'unexpected keyword argument' in text
    if named and frame and 'mmengine' in Path(frame.filename).parts:
        # An argument that MMEngine has from a config, such as randomness=dict(sed=2).
        return True
    if isinstance(error, USER_ERRORS) or 'failed to load image' in text or any(part in text for part in REMEDIES):
        return True
    # Whatever is raised while a part of the config is built, such as a TypeError for an argument that it does not know.
    return any(
        frame.name == 'build_from_cfg' and Path(frame.filename).name == 'build_functions.py'
        for frame in traceback.extract_tb(error.__traceback__)
    )


def described(error: Exception) -> str:
    """One line about a mistake. Messages of other packages get their type, their place and a hint."""
    text = one_line(error)
    if _is_ours(error) or 'failed to load image' in text or (isinstance(error, OSError) and error.filename):
        return text
    for part, remedy in REMEDIES.items():
        if part in text:
            return f'{text}; {remedy}; {_HINT}'
    frame = _last_frame(error)
    place = f' (in {_short(frame.filename)}:{frame.lineno}, {frame.name})' if frame else ''
    if isinstance(error, KeyError) and not _from_worker(error) and ' ' not in text:
        text = f'{text!r} is missing'
    name = '' if text.startswith(type(error).__name__) else f'{type(error).__name__}: '
    return f'{name}{text}{place}; {_HINT}'


def _is_ours(error: BaseException) -> bool:
    """Whether mmcds or its tool raised the error, also if another package repeats the message."""
    text = one_line(error)
    each: BaseException | None = error
    while each is not None:
        frame = _last_frame(each)
        if frame and _in_mmcds(frame.filename) and 'raise' in (frame.line or '') and one_line(each) in text:
            return True
        each = each.__cause__ or each.__context__
    return False


def _in_mmcds(filename: str) -> bool:
    main = getattr(sys.modules.get('__main__'), '__file__', None)
    path = Path(filename).resolve()
    return path.is_relative_to(_PACKAGE) or (main is not None and path == Path(main).resolve())


def _from_worker(error: BaseException) -> bool:
    return 'Original Traceback' in str(error.args[0] if error.args else '')


def _last_frame(error: BaseException) -> traceback.FrameSummary | None:
    """Frame that raised an exception; in a data loader worker, the frame in the worker."""
    if _from_worker(error):
        found = _FRAME.findall(str(error.args[0]))
        return traceback.FrameSummary(found[-1][0], int(found[-1][1]), found[-1][2], line=found[-1][3])
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1] if frames else None


def _short(filename: str) -> str:
    """A file's path below the folder of installed packages."""
    return filename.replace('\\', '/').rpartition('site-packages/')[2]


def one_line(error: BaseException) -> str:
    """Message of an exception in one line, without the traceback that a data loader worker adds."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if 'Original Traceback' in text:
        text = text.strip().splitlines()[-1]
    return ' '.join(text.split()) or type(error).__name__
