"""Initial values of parameters.  Each is ``f(rng, shape) -> float64 array``; shape is that of a weight or bias array.

A layer takes a name in ``INITIALIZERS`` or such a function.  A weights file stores the name: give your own function one
with ``register_initializer``.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np

from numcnn.errors import ConfigError
from numcnn.kernels.arrays import Float64s, Floats

Initializer: TypeAlias = Callable[[np.random.Generator, tuple[int, ...]], Floats]


class _Named(Protocol):
    """A class or a function."""

    __name__: str
    __qualname__: str
    __module__: str


def fan_in_out(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return fan-in and fan-out of dense or conv weights: the values that one output sums, the outputs that use one."""
    *kernel, inputs, outputs = shape
    window = math.prod(kernel)
    return window * inputs, window * outputs


def he_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Float64s:
    """Draw from a normal distribution of variance 2 / fan_in, which keeps variance through ReLUs (He et al. 2015)."""
    fan_in, _ = fan_in_out(shape)
    return rng.standard_normal(shape) * math.sqrt(2 / fan_in)


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Float64s:
    """Draw uniformly from +-sqrt(6 / (fan_in + fan_out)): for an output without ReLU (Glorot & Bengio 2010)."""
    limit = math.sqrt(6 / sum(fan_in_out(shape)))
    return rng.uniform(-limit, limit, shape)


def zeros(rng: np.random.Generator, shape: int | tuple[int, ...]) -> Float64s:
    """Return zeros: biases start at 0."""
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: tuple[int, ...]) -> Float64s:
    """Return ones: scales start at 1."""
    return np.ones(shape)


INITIALIZERS: dict[str, Initializer] = {f.__name__: f for f in (he_normal, glorot_uniform, zeros, ones)}


def register_initializer(function: Initializer) -> Initializer:
    """Register ``function(rng, shape)`` for weights files under its ``__name__``; return it, so it is a decorator too.

    Raises ConfigError when another initialiser has that name, and for what is no function.
    """
    if not hasattr(function, "__name__"):
        raise ConfigError(f"register_initializer got {function!r}; wants a function (rng, shape)")
    register(INITIALIZERS, function, "initialiser")
    return function


def register(table: dict[str, Any], item: _Named, what: str) -> None:
    """Put a class or function into ``table`` under its ``__name__``, also in place of an earlier run of its code.

    Raises ConfigError when something else has that name.
    """
    name = item.__name__
    there = table.setdefault(name, item)
    if (there.__module__, there.__qualname__) != (item.__module__, item.__qualname__):
        raise ConfigError(f"{what} {name!r} is taken by {there.__module__}.{there.__qualname__}; choose another name")
    table[name] = item


def draw(init: str | Initializer, rng: np.random.Generator, spec_name: str, shape: tuple[int, ...]) -> Floats:
    """Return initial values of ``shape`` from an initialiser, given by name or as a function.

    spec_name: the parameter's name ("dense1.w"), for the ConfigError when a function returns another shape.
    """
    values = np.asarray((init if callable(init) else INITIALIZERS[init])(rng, shape))
    if values.shape != tuple(shape):
        raise ConfigError(f"{spec_name}: the initialiser {init!r} returned shape {values.shape}; wants {tuple(shape)}")
    return values


def name_of(init: str | Initializer, layer: str) -> str:
    """Return an initialiser's name in weights files; ConfigError, which names the layer, if it isn't registered."""
    if not callable(init):
        return init
    name: str = getattr(init, "__name__", "")
    if name not in INITIALIZERS or INITIALIZERS[name] is not init:
        raise ConfigError(
            f"{layer}: init is {init!r}, a function that weights files have no name for; give it one with "
            "numcnn.register_initializer, here and where the file is loaded"
        )
    return name
