"""What a run's own folder tells of it, also after the driver or the run was killed."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmcds.utils.checkpoint_files import renamed_last

FILE = 'state.json'


@dataclass
class State:
    """How far a run is.

    Attributes:
        digest (str): Of the experiment that it was started as; '' before it is.
        defaults (dict[str, Any]): What its neck took from mmcds' defaults then.
        seconds (float): That it has taken, over all its starts.
        memory (float): Its peak resident set so far in MiB.
        finished (bool): Whether it came to its end on this machine.
    """

    digest: str = ''
    defaults: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    memory: float = 0.0
    finished: bool = False


def read_state(folder: Path) -> State:
    """The state of a run, a new one where it has not been started."""
    path = folder / FILE
    return State(**json.loads(path.read_text())) if path.is_file() else State()


def write_state(folder: Path, state: State) -> None:
    """Write it whole or not at all."""
    with renamed_last(folder / FILE) as partial:
        partial.write_text(json.dumps(asdict(state)))


def resident_peak(process: int) -> float:
    """Peak resident set of another process in MiB; 0 once it has ended."""
    try:
        lines = Path(f'/proc/{process}/status').read_text().splitlines()
    except OSError:
        return 0.0
    # A process that has ended and was not waited for has no such line.
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith('VmHWM')), 0.0)
