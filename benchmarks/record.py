"""What is kept of a finished run: a small file in the repository, from which pages are written.

Work directories hold gigabytes and stay on the machine that made them. A record holds the last evaluation, the cost
and what was run, so that a matrix can be finished in several sittings, on several machines, and its page be written
anywhere.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmcds.utils.config import load_config
from mmcds.visualization.run_log import read_run

from .headline import machine


@dataclass(frozen=True)
class Record:
    """A finished run.

    Attributes:
        config (str): Its config file.
        options (dict[str, Any]): What the matrix changed of it.
        digest (str): Of the config with all it inherits and the options: another one is another experiment.
        machine (str): Where it ran.
        seconds (float): From start to end of the last call, evaluation included.
        iteration (float): Seconds of a training step, the median of those logged.
        memory (float): Peak resident set of the process, or the GPU's allocator's, in MiB.
        metrics (dict[str, float]): The scalars of the last evaluation.
    """

    config: str
    options: dict[str, Any]
    digest: str
    machine: str
    seconds: float
    iteration: float
    memory: float
    metrics: dict[str, float]


def digest_of(config: str, options: dict[str, Any]) -> str:
    """Twelve hexadecimal digits of a config with all it inherits, and the options on it."""
    text = load_config(config).pretty_text + json.dumps(options, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def make_record(folder: Path, config: str, options: dict[str, Any], seconds: float, peak_mib: float) -> Record:
    """From the logs that a run has left in its folder.

    Raises:
        ValueError: If it has logged no evaluation.
    """
    log = read_run(folder)
    if not log.val:
        raise ValueError(f'{folder} has no evaluation in its logs; see {folder / "log"}')
    last = log.val[-1]
    gpu = log.series('memory')[1]
    return Record(
        config=config,
        options=json.loads(json.dumps(options)),
        digest=digest_of(config, options),
        machine=machine(),
        seconds=round(seconds, 1),
        iteration=float(np.median(log.series('time')[1])),
        memory=round(float(gpu.max()) if len(gpu) else peak_mib),
        metrics={key: value for key, value in last.items() if key != 'step'},
    )


def write_record(path: Path, record: Record) -> None:
    """Write it whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix('.partial')
    partial.write_text(json.dumps(asdict(record), indent=1) + '\n')
    os.replace(partial, path)


def read_record(path: Path) -> Record:
    """Read one."""
    return Record(**json.loads(path.read_text()))
