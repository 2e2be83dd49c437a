"""Learning-rate schedules: pure functions ``step -> lr`` with steps counted from 0 to ``total - 1``."""

import math

from numcnn.errors import ConfigError

SCHEDULES = ("constant", "step", "cosine", "one-cycle")


def constant(lr):
    """Keep the learning rate as it is."""
    return lambda step: lr


def step_decay(lr, every, factor=0.1):
    """Multiply the learning rate by ``factor`` after every ``every`` steps."""
    return lambda step: lr * factor ** (step // every)


def cosine(lr, total, warmup=0):
    """Rise evenly to ``lr`` over ``warmup`` steps, then fall along half a cosine to 0 (Loshchilov & Hutter 2017)."""

    def schedule(step):
        if step < warmup:
            return lr * (step + 1) / warmup
        return lr * _cosine_fall((step - warmup) / max(1, total - warmup))

    return schedule


def one_cycle(lr, total, rise=0.3, start=1 / 25, end=1e-4 / 25):
    """Rise along half a cosine from ``start * lr`` to ``lr``, then fall to ``end * lr`` (Smith & Topin 2018).

    ``rise`` is the share of steps that go up.  The shape is that of PyTorch's OneCycleLR with its defaults.
    """
    top = rise * total - 1
    last = total - 1

    def schedule(step):
        if step < top:
            low, progress = start, 1 - step / top
        else:
            low, progress = end, (step - top) / max(1, last - top)
        return lr * (low + (1 - low) * _cosine_fall(progress))

    return schedule


def _cosine_fall(progress):
    """Fall from 1 to 0 along half a cosine while ``progress`` goes from 0 to 1."""
    return (1 + math.cos(math.pi * min(1.0, progress))) / 2


def make_schedule(name, lr, total, steps_per_epoch, warmup_epochs=1.0):
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
