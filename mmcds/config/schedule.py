"""Schedule of the weight of the contrast during training."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from mmcds.utils.errors import check_range, has_no_effect, unknown_name

UNITS = ('fraction', 'epoch', 'iter')
DECAYS = ('constant', 'linear', 'cosine')


@dataclass(frozen=True)
class ContrastSchedule:
    """A factor in [0, 1] on the weight of the contrast: warm-up, constant, decay, stop.

    It depends on the progress only, so a resumed run continues it. Where it is 0 there is no second view.

    Args:
        warmup (float): The factor rises linearly from 0 to 1 until here, >= 0. Defaults to 0.
        decay (str): 'constant', 'linear' or 'cosine' from ``decay_begin`` to ``stop``. Defaults to 'constant'.
        decay_begin (float, optional): Where the decay begins. Needs a ``decay`` that is not constant. Defaults to None,
            the end of the warm-up.
        final (float): Factor at the end of the decay, in [0, 1]. Needs a ``decay`` that is not constant. Defaults to 0.
        stop (float, optional): From here on the factor is 0, > 0. Defaults to None: never; a decay then
            ends with training.
        unit (str): What the numbers count: 'fraction' of the training, 'epoch' or 'iter'.
            Defaults to 'fraction'.

    Raises:
        ValueError: If a value is out of range or has no effect, or they are not in the order warm-up, decay, stop.

    Example:
        >>> ContrastSchedule(warmup=1, stop=10, unit='epoch')
    """

    warmup: float = 0.0
    decay: str = 'constant'
    decay_begin: float | None = None
    final: float = 0.0
    stop: float | None = None
    unit: str = 'fraction'

    def __post_init__(self) -> None:
        for field, name, known in (('decay', self.decay, DECAYS), ('unit', self.unit, UNITS)):
            if name not in known:
                raise unknown_name(f'schedule.{field}', name, known)
        high = 1.0 if self.unit == 'fraction' else math.inf
        check_range('schedule.final', self.final, 0, 1)
        points = {'warmup': self.warmup, 'decay_begin': self.decay_begin, 'stop': self.stop}
        check_range('schedule.warmup', self.warmup, 0, high)
        given = {field: value for field, value in points.items() if value is not None}
        for field, value in given.items():
            # With stop=0 all of the training would be without the contrast.
            check_range(f'schedule.{field}', value, 0, high, open_low=field == 'stop')
        if list(given.values()) != sorted(given.values()):
            raise ValueError(f'schedule={given} is out of order; give warmup <= decay_begin <= stop')
        unused = {} if self.decay != 'constant' else {'decay_begin': self.decay_begin, 'final': self.final or None}
        for field, setting in unused.items():
            if setting is not None:
                raise has_no_effect(f'schedule.{field}', setting, "decay='constant'", "set decay='linear' or 'cosine'")

    @classmethod
    def from_cfg(cls, cfg: dict | None) -> 'ContrastSchedule':
        """Build from a config dict.

        Raises:
            ValueError: If it is no dict, a key is not known or a value is wrong.
        """
        if cfg is not None and not isinstance(cfg, Mapping):
            raise ValueError(f"schedule={cfg!r} is not a dict; give its fields, such as dict(decay='cosine')")
        known = [field.name for field in fields(cls)]
        for key in cfg or {}:
            if key not in known:
                raise unknown_name('schedule', key, known)
        return cls(**(cfg or {}))

    def factor(self, iteration: int, max_iters: int, iters_per_epoch: int) -> float:
        """The factor at an iteration.

        Args:
            iteration (int): Iterations done, >= 0.
            max_iters (int): Iterations of the full training, >= 1.
            iters_per_epoch (int): Iterations of an epoch, >= 1.

        Returns:
            float: In [0, 1].
        """
        per_unit = {'fraction': max_iters, 'epoch': iters_per_epoch, 'iter': 1}[self.unit]
        now, end = iteration / per_unit, max_iters / per_unit
        if self.stop is not None and now >= self.stop:
            return 0.0
        if now < self.warmup:
            return now / self.warmup
        begin = self.warmup if self.decay_begin is None else self.decay_begin
        last = end if self.stop is None else self.stop
        if self.decay == 'constant' or now <= begin or last <= begin:
            return 1.0
        done = min((now - begin) / (last - begin), 1.0)
        shape = 1 - done if self.decay == 'linear' else (1 + math.cos(math.pi * done)) / 2
        return self.final + (1 - self.final) * shape
