"""One training step of a family, stock and with CDS."""

import time
from copy import deepcopy
from dataclasses import dataclass

from mmengine.config import Config

from mmcds.apis import add_cds
from mmcds.config.load_config import load_config
from mmcds.models.forward import TwoViewForward

from .choose import family_of
from .explain import explain, one_line
from .shrink import shrink
from .step import Step, all_weights, build_toy, check_step, contrast_parameters, load_all_weights, take_step, toy_batch

WORKS = 'works'


@dataclass(frozen=True)
class FamilyResult:
    """What came of a family.

    Attributes:
        family (str): Name of the family, :attr:`Family.name`.
        config (str): The config that stood for it.
        stock (str): 'works', or why the stock model takes no step here.
        cds (str): 'works', 'refused: ...', 'fails: ...', or '-' where the stock model takes no step.
        taps (tuple[str, ...]): What was contrasted.
        seconds (float): Time of all of it.
    """

    family: str
    config: str
    stock: str
    cds: str
    taps: tuple[str, ...]
    seconds: float


def walk_family(name: str) -> FamilyResult:
    """Take one step of a family's model at toy size, and one of its CDS version.

    Both have the same weights, batch and seeds. The CDS version must have finite losses, one of them
    above 0, the stock's keys and gradients, and, to the last bit, the stock's task losses and, after the
    step, buffers, which are mostly running statistics.

    Args:
        name (str): A folder of mmdet's configs, or ``'<package>/<folder>'``.

    Returns:
        FamilyResult: What came of it; nothing that a model raises gets out.

    Raises:
        ValueError: If the package is not installed, or ships no such folder.
    """
    family = family_of(name)
    start = time.perf_counter()
    if family.config:
        stock, cds, taps = _walk(family.config)
    else:
        stock, cds, taps = family.reason, '-', ()
    return FamilyResult(family.name, family.config, stock, cds, taps, time.perf_counter() - start)


def _walk(config: str) -> tuple[str, str, tuple[str, ...]]:
    cfg = shrink(load_config(config))
    try:
        # CLRNet's preprocessor is registered there: without this, a family's result would depend on those before it.
        import mmdet.datasets.transforms  # noqa: F401

        model = build_toy(cfg)
        weights, data = deepcopy(all_weights(model)), toy_batch(cfg, model)
        stock = take_step(model, data)
    # Whatever keeps a stock model from its step is a line of the table.
    except (Exception, SystemExit) as error:
        return explain(error, cfg.model), '-', ()
    del model
    try:
        with_cds = add_cds(cfg)
    except ValueError as error:
        return WORKS, f'refused: {error}', ()
    try:
        return WORKS, WORKS, _step_with_cds(with_cds, weights, data, stock)
    except Exception as error:
        return WORKS, f'fails: {one_line(error)}', ()


def _step_with_cds(cfg: Config, weights: dict, data: dict, stock: Step) -> tuple[str, ...]:
    """Take the step with CDS and check it. Returns the names of the taps."""
    model = build_toy(cfg)
    load_all_weights(model, weights)
    two_views = TwoViewForward(model).attach()
    two_views.begin_step(seed=2)
    check_step(stock, take_step(model, data), contrast_parameters(model))
    return tuple(tap.name for tap in two_views.supervision.taps)
