"""What is kept of a finished run: a small file in the repository, from which pages are written.

Work directories hold gigabytes and stay on the machine that made them. A record holds the last evaluation, the cost
and what was run, so that a matrix can be finished in several sittings, on several machines, and its page be written
anywhere.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, DictAction

from benchmarks.speed.headline import machine
from mmcds.analysis.runs.run_log import NOT_METRICS, read_run
from mmcds.apis import NECKS
from mmcds.config.load_config import load_config, map_strings
from mmcds.models.necks import PARTS, part_of, view_of
from mmcds.registry import MODELS
from mmcds.utils.checkpoint_files import renamed_last

from .matrix import Arm
from .state import State

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Record:
    """A finished run.

    Attributes:
        config (str): Its config file.
        options (dict[str, Any]): What the matrix changed of it.
        digest (str): Of the config with all it inherits and the options: another one is another experiment.
        defaults (dict[str, Any]): What its neck took from mmcds' defaults; another one is another experiment, too.
        machine (str): Where it ran.
        seconds (float): From start to end, over all its starts, evaluation included.
        iteration (float): Seconds of a training step, the median of those logged.
        memory (float): Peak resident set of the process, or the GPU's allocator's, in MiB.
        metrics (dict[str, float]): The scalars of the last evaluation.
    """

    config: str
    options: dict[str, Any]
    digest: str
    defaults: dict[str, Any]
    machine: str
    seconds: float
    iteration: float
    memory: float
    metrics: dict[str, float]


Load = Callable[[str], Config]


#: Stands for the folder of the repository while a config is formatted. Its length decides where lines break.
CLONE = '/the/clone/'


def digest_of(config: str, options: dict[str, Any], needed: Sequence[str] = (), load: Load = load_config) -> str:
    """Twelve hexadecimal digits of a config with all it inherits, the options on it, and digests of what it needs."""
    # A config may name its own folder; wherever the repository lies, it is the same experiment. Replaced before the
    # text is formatted, since a path of another length breaks lines elsewhere.
    cfg = map_strings(_without_packages(load(config)).to_dict(), lambda text: text.replace(f'{ROOT}/', CLONE))
    text = _pretty_text(Config(cfg)) + json.dumps(options, sort_keys=True, default=str) + ''.join(needed)
    text = text.replace(CLONE, '').replace(f'{ROOT}/', '')
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _without_packages(cfg: Config) -> Config:
    """A copy in which stock types stand without their package: ``mmdet.Resize`` and ``Resize`` are one transform."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: _bare(each) if key in ('type', 'dataset_type') else bare(each) for key, each in value.items()}
        return type(value)(map(bare, value)) if isinstance(value, (list, tuple)) else value

    return Config(bare(cfg.to_dict()))


def _bare(name: Any) -> Any:
    package, _, rest = name.partition('.') if isinstance(name, str) else ('', '', '')
    return rest if package in ('mmdet', 'mmpretrain') else name


#: Text of a config by its content: formatting it takes half a second, and many arms of a matrix share a config.
_texts: dict[str, str] = {}


def _pretty_text(cfg: Config) -> str:
    content = repr(cfg.to_dict())
    if content not in _texts:
        _texts[content] = cfg.pretty_text
    return _texts[content]


#: Fields that change time and memory of a run, but no bit of its results.
WITHOUT_EFFECT_ON_RESULTS = ('recompute',)


def defaults_of(config: str, options: dict[str, Any], load: Load = load_config) -> dict[str, Any]:
    """What the neck of a run takes from mmcds' defaults, since neither its config nor its options say.

    Returns:
        dict[str, Any]: By field, those of the parts with a dot: 'stop_gradient' -> False, 'sampler.roi_size' -> 2.
    """
    cfg = deepcopy(load(config))
    cfg.merge_from_dict({key: DictAction._parse_iterable(str(value)) for key, value in options.items()})
    neck: Any = cfg.model.get('neck')
    builder = NECKS.get(neck.get('type', '')) if isinstance(neck, Mapping) else None
    if builder is None:
        return {}
    found: dict[str, Any] = {}
    for field, default in _defaults(builder).items():
        if field not in PARTS:
            if field not in neck:
                found[field] = default
            continue
        given = neck.get(field) or {}
        part = view_of(neck) if field == 'view' else part_of(field, given)
        inside = {**_defaults(MODELS.get(part['type'].removeprefix('mmcds.'))), **part}
        found.update({f'{field}.{key}': value for key, value in inside.items() if key not in given})
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def _defaults(builder: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(builder).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def changed_defaults(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Fields whose default is another now. One that has come since, or has gone, did nothing by default."""
    return {
        field: then[field]
        for field in then
        # Those of an arm that it starts from are called 'ARM: FIELD'.
        if field in now and then[field] != now[field] and field.rpartition(' ')[2] not in WITHOUT_EFFECT_ON_RESULTS
    }


def make_record(folder: Path, arm: Arm, state: State, threads: int) -> Record:
    """From the logs that a run has left in its folder.

    Raises:
        ValueError: If its last epoch (or iteration) was not evaluated, as where it was killed while it was.
    """
    log = read_run(folder)
    trained = max((record.get('epoch', record['step']) for record in log.train), default=0)
    if not log.val or log.val[-1]['step'] < trained:
        raise ValueError(
            f'{folder} has no evaluation of its last checkpoint in its logs, and a resumed run that has nothing left '
            'to train makes none; remove the folder to run it again'
        )
    gpu = log.series('memory')[1]
    times = [record['time'] for record in log.train if 'time' in record]
    return Record(
        config=arm.config,
        options=json.loads(json.dumps(arm.options)),
        digest=state.digest,
        defaults=state.defaults,
        machine=machine(threads),
        seconds=round(state.seconds, 1),
        iteration=float(np.median(times)),
        memory=round(float(gpu.max()) if len(gpu) else state.memory),
        metrics={key: value for key, value in log.val[-1].items() if key not in NOT_METRICS},
    )


def write_record(path: Path, record: Record) -> None:
    """Write it whole or not at all."""
    with renamed_last(path) as partial:
        partial.write_text(json.dumps(asdict(record), indent=1) + '\n')


def read_record(path: Path) -> Record:
    """Read one."""
    return Record(**json.loads(path.read_text()))
