"""Learning-rate schedules: pure functions ``step -> lr`` with steps counted from 0 to ``total - 1``."""

import math
from collections.abc import Callable
from typing import TypeAlias

from numcnn.errors import ConfigError

Schedule: TypeAlias = Callable[[int], float]  # step -> learning rate

SCHEDULES = ("constant", "step", "cosine", "one-cycle")


def constant(lr: float) -> Schedule:
    """Keep the learning rate constant."""
    return lambda step: lr


def step_decay(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """Multiply the learning rate by ``factor`` after every ``every`` steps."""
    return lambda step: lr * factor ** (step // every)


def cosine(lr: float, total: int, warmup: int = 0) -> Schedule:
    """Rise linearly to ``lr`` over ``warmup`` steps, then fall along half a cosine to 0 (Loshchilov & Hutter 2017)."""

    def schedule(step: int) -> float:
        if step < warmup:
            return lr * (step + 1) / warmup
        return lr * _cosine_fall((step - warmup) / max(1, total - warmup))

    return schedule


def one_cycle(lr: float, total: int, rise: float = 0.3, start: float = 1 / 25, end: float = 1e-4 / 25) -> Schedule:
    """Rise along half a cosine from ``start * lr`` to ``lr``, then fall to ``end * lr`` (Smith & Topin 2018).

    ``rise`` is the fraction of steps that go up.  The shape is that of PyTorch's OneCycleLR with its defaults.
    """
    top = rise * total - 1
    last = total - 1

    def schedule(step: int) -> float:
        if step < top:
            low, progress = start, 1 - step / top
        else:
            low, progress = end, (step - top) / max(1, last - top)
        return lr * (low + (1 - low) * _cosine_fall(progress))

    return schedule


def _cosine_fall(progress: float) -> float:
    """Fall from 1 to 0 along half a cosine while ``progress`` goes from 0 to 1."""
    return (1 + math.cos(math.pi * min(1.0, progress))) / 2


def make_schedule(name: str, lr: float, total: int, steps_per_epoch: int, warmup_epochs: float = 1.0) -> Schedule:
    """Return the schedule called ``name`` over ``total`` steps; "step" divides by ten after each third of them."""
    if name == "constant":
        return constant(lr)
    if name == "step":
        return step_decay(lr, math.ceil(total / 3))
    if name == "cosine":
        return cosine(lr, total, min(total // 2, round(warmup_epochs * steps_per_epoch)))
    if name == "one-cycle":
        return one_cycle(lr, total)
    raise ConfigError(f"schedule {name!r} is unknown; choose one of {', '.join(SCHEDULES)}")
