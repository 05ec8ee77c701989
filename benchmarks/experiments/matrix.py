"""What an experiment consists of: arms, seeds, and who is compared with whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import cleandoc
from pathlib import Path
from string import Formatter
from typing import Any

from mmengine.config import Config

from mmcds.compat.old_names import moved_file
from mmcds.utils.errors import unknown_name

FIELDS = ('title', 'answer', 'errors_answer', 'note', 'seeds', 'metrics', 'arms', 'prepare', 'curves', 'rivals')
REQUIRED = ('title', 'seeds', 'metrics', 'arms')
ARM_FIELDS = ('config', 'options', 'after', 'baseline', 'label', 'seeds', 'backbone')
CURVE_FIELDS = ('title', 'x', 'lines')


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        name (str): Its key in the matrix, and its folder.
        config (str): Config file, relative to the repository.
        options (dict[str, Any]): ``--cfg-options``; in a string ``{<arm>}`` stands for the last checkpoint
            of another arm with the same seed.
        after (tuple[str, ...]): Arms that have to be finished first.
        baseline (str): The arm that it is compared with; its own name where it is one.
        label (str): What the table calls it.
        seeds (tuple[int, ...]): Of the matrix's seeds those that it runs with; empty for all, as for what a
            screening has left.
        backbone (str): The arm whose backbone it starts with, trained with the same seed; '' for random weights.
    """

    name: str
    config: str
    options: dict[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    baseline: str = ''
    label: str = ''
    seeds: tuple[int, ...] = ()
    backbone: str = ''


@dataclass(frozen=True)
class Curve:
    """How the first metric depends on something that arms differ in.

    Attributes:
        title (str): What stands above it.
        x (str): What the arms differ in, with its unit.
        lines (Mapping[str, Sequence[tuple[float, str]]]): By what a line is called, its points: where they are on the
            x axis, and the arm.
    """

    title: str
    x: str
    lines: Mapping[str, Sequence[tuple[float, str]]]


@dataclass(frozen=True)
class Matrix:
    """A matrix of arms and seeds.

    Attributes:
        path (Path): The file it was read from.
        title (str): Heading of its page.
        note (str): What was run, in Markdown.
        seeds (tuple[int, ...]): An arm runs with each, unless it names some of them.
        metrics (dict[str, str]): Scalars of the last evaluation that the table shows, with their headings.
        arms (dict[str, Arm]): By name, in the order of the table.
        prepare (str): Shell command that makes the data where they are missing. Defaults to ''.
        curves (tuple[Curve, ...]): Panels of a figure on its page. Defaults to none.
        rivals (tuple[tuple[str, str], ...]): An arm and another than its baseline that it is compared with, too.
            Defaults to none.
        answer (str): What the page says first: what came out, in Markdown. Defaults to ''.
        errors_answer (str): The same of the page of errors by type, which `errors.py` writes. Defaults to ''.
    """

    path: Path
    title: str
    note: str
    seeds: tuple[int, ...]
    metrics: dict[str, str]
    arms: dict[str, Arm]
    prepare: str = ''
    curves: tuple[Curve, ...] = ()
    rivals: tuple[tuple[str, str], ...] = ()
    answer: str = ''
    errors_answer: str = ''


def load_matrix(path: str | Path) -> Matrix:
    """Read a matrix file, a Python config.

    Raises:
        FileNotFoundError: If it, or a config that it names, does not exist.
        ValueError: If a field, or an arm that another one names, is not known.
    """
    path = Path(moved_file(str(path)))
    if not path.is_file():
        found = [str(each) for each in sorted(Path(__file__).parent.glob('*_matrix.py'))]
        raise FileNotFoundError(f'matrix={str(path)!r} does not exist; there are: {", ".join(found)}')
    cfg = Config.fromfile(path).to_dict()
    _check_fields(str(path), cfg, FIELDS, REQUIRED)
    arms = {name: _arm(path, name, dict(content)) for name, content in cfg['arms'].items()}
    for arm in arms.values():
        strangers = sorted(set(arm.seeds) - set(cfg['seeds']))
        if strangers:
            raise ValueError(f'{path}: arm {arm.name!r} has the seeds {strangers}; choose from seeds={cfg["seeds"]}')
        for other in (*arm.after, arm.baseline):
            if other not in arms:
                raise unknown_name(f'{path}: arm {arm.name!r} names the arm', other, arms)
        for other in arm.after:
            lacking = sorted(set(arm.seeds or cfg['seeds']) - set(arms[other].seeds or cfg['seeds']))
            if lacking:
                raise ValueError(f'{path}: arm {arm.name!r} needs {other!r} with the seeds {lacking}, which it lacks')
        for key, value in arm.options.items():
            if isinstance(value, (dict, list, tuple)):
                raise ValueError(
                    f'{path}: arm {arm.name!r}, options.{key}={value!r} is no number or text; write what stands on a '
                    "command line, such as '[1,2]', or one option for each field"
                )
            for _, name, _, _ in Formatter().parse(str(value)):
                if name is not None and name not in arm.after:
                    raise unknown_name(f'{path}: arm {arm.name!r}, options.{key}', name, arm.after, 'add it to after')
    for pair in cfg.get('rivals', ()):
        if len(pair) != 2:
            raise ValueError(f'{path}: rivals has {pair!r}; give two arms, such as ("cds", "longer")')
        for name in pair:
            if name not in arms:
                raise unknown_name(f'{path}: rivals names the arm', name, arms)
    for curve in cfg.get('curves', ()):
        _check_fields(f'{path}: curve', curve, CURVE_FIELDS, CURVE_FIELDS)
        for name in (name for points in curve['lines'].values() for _, name in points):
            if name not in arms:
                raise unknown_name(f'{path}: curve {curve["title"]!r} names the arm', name, arms)
    return Matrix(
        path=path,
        title=cfg['title'],
        note=cleandoc(cfg.get('note', '')),
        answer=cleandoc(cfg.get('answer', '')),
        errors_answer=cleandoc(cfg.get('errors_answer', '')),
        seeds=tuple(cfg['seeds']),
        metrics=cfg['metrics'],
        arms=arms,
        prepare=cfg.get('prepare', ''),
        curves=tuple(Curve(each['title'], each['x'], each['lines']) for each in cfg.get('curves', ())),
        rivals=tuple((ours, theirs) for ours, theirs in cfg.get('rivals', ())),
    )


def _arm(path: Path, name: str, content: dict[str, Any]) -> Arm:
    _check_fields(f'{path}: arm {name!r}', content, ARM_FIELDS, ('config',))
    if not Path(content['config']).is_file():
        raise FileNotFoundError(f'{path}: arm {name!r}, config={content["config"]!r} does not exist')
    after, seeds = tuple(content.pop('after', ())), tuple(content.pop('seeds', ()))
    if content.get('backbone'):
        after += (content['backbone'],)
    return Arm(name=name, after=after, seeds=seeds, **{'baseline': name, 'label': name, 'options': {}, **content})


def _check_fields(where: str, content: Mapping[str, Any], known: Sequence[str], required: Sequence[str]) -> None:
    for key in content:
        if key not in known:
            raise unknown_name(f'{where}: field', key, known)
    missing = [key for key in required if key not in content]
    if missing:
        raise ValueError(f'{where}: field {missing[0]!r} is missing; a complete one has {", ".join(required)}')
