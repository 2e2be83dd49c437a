"""Checks of arguments and results: each error says what was wrong and what to do."""

import math
import numbers
import reprlib
from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from numcnn.errors import ConfigError, ShapeError
from numcnn.kernels.arrays import AnyArray, Pair
from numcnn.nn.initializers import INITIALIZERS, Initializer

# Arguments of layers

LARGEST_SIZE = 2**31 - 1  # of a window, stride, padding, layer: NumPy and the kernels compute with sizes of 64 bits


def whole_number(
    what: str,
    value: object,
    least: int = 1,
    wants: str = "a whole number, 1 or more",
    most: float = LARGEST_SIZE,
) -> int:
    """Return ``value`` as an int; ConfigError unless it is a whole number, ``least`` to ``most`` (and not a bool)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < least:
        raise ConfigError(f"{what} is {reprlib.repr(value)}; wants {wants}")
    if int(value) > most:
        raise ConfigError(f"{what} is {reprlib.repr(value)}; {most:,} is the most")
    return int(value)


def pair(what: str, value: object) -> Pair:
    """Return a whole number as (value, value), and a pair of them as a tuple (rows, columns)."""
    wants = "a whole number, 1 or more, or a pair of them (rows, columns)"
    both: tuple[object, ...] = (value, value)
    if isinstance(value, (tuple, list)):
        both = tuple(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] (checked below)
    if len(both) != 2:
        raise ConfigError(f"{what} is {reprlib.repr(both)}; wants {wants}")
    return whole_number(what, both[0], wants=wants), whole_number(what, both[1], wants=wants)


def real_number(what: str, value: object, least: float, most: float, wants: str, least_too: bool = False) -> float:
    """Return ``value`` as a float; ConfigError unless least < value < most, or least <= value with ``least_too``."""
    if isinstance(value, numbers.Real):
        number = as_float(value)
        if least < number < most or (least_too and number == least):
            return number
    raise ConfigError(f"{what} is {reprlib.repr(value)}; wants {wants}")


def as_float(value: Any) -> float:
    """Return a number as a float; an integer that is too large for one is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def known_init(what: str, init: str | Initializer) -> str | Initializer:
    """Return an initialiser, a name or a function; ConfigError for an unknown name."""
    if not callable(init) and init not in INITIALIZERS:
        raise ConfigError(
            f"{what} init is {init!r}; wants one of {', '.join(INITIALIZERS)}, or a function (rng, shape)"
        )
    return init


# Arrays and shapes


def batch_of(shape: tuple[int, ...]) -> str:
    """Return the shape of a batch in words: "(N, 28, 28, 1)"."""
    return f"({', '.join(['N', *map(str, shape)])})"


def image_shape(layer: str, in_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return ``in_shape`` as (H, W, C); ShapeError, which names the layer, unless it is an image's."""
    if len(in_shape) != 3:
        raise ShapeError(f"{layer}: input is {batch_of(in_shape)}; wants images (N, H, W, C)")
    H, W, C = in_shape
    return H, W, C


def window_positions(layer: str, image: Pair, window: Pair, stride: Pair) -> Pair:
    """Return the number of window positions down and across an image; ShapeError if the window doesn't fit."""
    if image[0] < window[0] or image[1] < window[1]:
        raise ShapeError(
            f"{layer}: a {window[0]}x{window[1]} window doesn't fit an input of {image[0]}x{image[1]} pixels; "
            "use a smaller window or padding"
        )
    return (image[0] - window[0]) // stride[0] + 1, (image[1] - window[1]) // stride[1] + 1


def _is_array(thing: object) -> TypeGuard[AnyArray]:
    return isinstance(thing, np.ndarray)


def check_array(layer: str, what: str, array: object, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> None:
    """Raise ShapeError unless ``array`` is (N, *shape) for some N, of ``dtype``.  what: "input" or "gradient"."""
    if _is_array(array) and array.ndim and array.shape[1:] == shape and array.dtype == dtype:
        return
    got = f"shape {array.shape}, {array.dtype}" if _is_array(array) else f"a {type(array).__name__}"
    raise ShapeError(f"{layer}: {what} is {got}; wants shape {batch_of(shape)}, {dtype}")


def check_result(layer: str, method: str, array: object, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> None:
    """Raise ShapeError unless what ``method`` ("Tanh._forward") returned is what ``_build`` promised."""
    if _is_array(array) and array.shape == shape and array.dtype == dtype:
        return
    got = f"{array.shape}, {array.dtype}" if _is_array(array) else f"a {type(array).__name__}"
    promised = "for its input" if method.endswith("_backward") else "for its output"
    raise ShapeError(f"{layer}: {method} returned {got}; _build promised {shape}, {dtype}, {promised}")


# Arguments of networks

# Of normalisation and temperature: far beyond any use, and far from where float32 overflows (3e38) or is 0 (1e-45).
SMALLEST_SCALE, LARGEST_SCALE = 1e-6, 1e6


def checked_dtype(dtype: npt.DTypeLike) -> "np.dtype[Any]":
    """Return float32 or float64 as a dtype; ConfigError for another."""
    try:
        checked = np.dtype(dtype)
    except TypeError:
        checked = None
    if checked is None or checked not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ConfigError(f"dtype is {dtype!r}; wants float32 or float64")
    return checked


def checked_input_shape(shape: Iterable[int]) -> tuple[int, ...]:
    """Return the shape of one image as a tuple; ConfigError unless it is of whole numbers, 1 or more."""
    wants = "whole numbers, 1 or more, such as (28, 28, 1): one image's shape, without N"
    try:
        sizes = tuple(shape)
    except TypeError:
        raise ConfigError(f"input_shape is {shape!r}; wants {wants}") from None
    return tuple(whole_number("input_shape", size, wants=wants) for size in sizes)


def checked_normalisation(normalisation: tuple[float, float]) -> tuple[float, float]:
    """Return (mean, std) as floats; ConfigError unless both are finite and std is above 0."""
    try:
        mean, std = (as_float(value) for value in normalisation)
    except (TypeError, ValueError):
        raise ConfigError(f"normalisation is {normalisation!r}; wants a pair (mean, std)") from None
    if not (abs(mean) <= LARGEST_SCALE and SMALLEST_SCALE <= std <= LARGEST_SCALE):  # NaN is neither
        raise ConfigError(
            f"normalisation is ({mean}, {std}); wants a mean up to {LARGEST_SCALE:g} and a standard deviation above 0, "
            f"from {SMALLEST_SCALE:g} to {LARGEST_SCALE:g}"
        )
    return mean, std


def checked_temperature(temperature: object) -> float:
    """Return a temperature as a float; ConfigError unless it is above 0, within the scales of numbers."""
    wants = f"a number above 0, from {SMALLEST_SCALE:g} to {LARGEST_SCALE:g}"
    return real_number("temperature", temperature, SMALLEST_SCALE, LARGEST_SCALE, wants, least_too=True)


def checked_seed(seed: int | None) -> int | None:
    """Return a seed, or None; ConfigError unless it is a whole number, 0 or more."""
    return None if seed is None else whole_number("seed", seed, 0, "a whole number, 0 or more", most=math.inf)
