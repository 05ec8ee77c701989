"""What a benchmark found, for the table of all of them (benchmarks/speed/cost.py)."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch


@dataclass(frozen=True)
class Headline:
    """One measured value with its spread.

    Attributes:
        key (str): What it is, as the table of targets asks for it.
        value (float): The median, or the value where it was taken once.
        low, high (float): The lowest and highest value of all rounds; both ``value`` where it was taken once.
    """

    key: str
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, key: str, values: Sequence[float] | np.ndarray | float) -> 'Headline':
        """From the values of all rounds, or a single one."""
        found = np.atleast_1d(np.asarray(values, dtype=np.float64))
        return cls(key, float(np.median(found)), float(found.min()), float(found.max()))


def write_headlines(path: str | Path | None, headlines: Sequence[Headline]) -> None:
    """Write them with the machine they were taken on; nothing where ``path`` is None."""
    if path is None:
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {'machine': machine(), 'command': sys.argv[1:], 'headlines': [asdict(each) for each in headlines]}
    path.write_text(json.dumps(content, indent=1) + '\n')


def was_run_as(path: Path, arguments: Sequence[str]) -> bool:
    """Whether values were measured with these command-line arguments."""
    return path.is_file() and json.loads(path.read_text()).get('command') == list(arguments)


def read_headlines(path: str | Path) -> tuple[str, dict[str, Headline]]:
    """The machine, and the headlines by key."""
    content = json.loads(Path(path).read_text())
    return content['machine'], {each['key']: Headline(**each) for each in content['headlines']}


def machine(threads: int | None = None, cpu: bool = False) -> str:
    """What a page says of the machine: kind, architecture, torch and threads.

    Args:
        threads (int, optional): Of what was run. Defaults to None: those of this process.
        cpu (bool): Whether no GPU took part even if there is one. Defaults to False.
    """
    kind = (
        torch.cuda.get_device_name() if torch.cuda.is_available() and not cpu else f'{os.cpu_count()} CPU cores, no GPU'
    )
    return f'{kind}, {platform.machine()}, torch {torch.__version__}, {threads or torch.get_num_threads()} threads'


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in [heads, ['---'] * len(heads), *rows])
