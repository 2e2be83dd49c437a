"""exp, log, tanh, sine and cosine against the C library's, in units of the last place, and their special values."""

import math

import numpy as np
import pytest

from numcnn.kernels.fast import elementary
from numcnn.kernels.fast.jit import COMPILED, numba

TIMES = 20_000 if COMPILED else 500


def apply(name, values):
    function = getattr(elementary, name)

    def run(values, out):
        for i in range(values.size):
            out[i] = function(values[i])

    out = np.empty((values.size, 2)) if name == "sin_cos" else np.empty(values.size)
    (numba.njit(error_model="numpy")(run) if COMPILED else run)(values, out)
    return out


def units(found, exact):
    """Return how far off numbers are, in units of the last place."""
    return np.max(np.abs(found - exact) / np.spacing(np.abs(exact)))


def spread(low, high):
    rng = np.random.default_rng(0)
    return np.concatenate(
        [rng.uniform(low, high, TIMES), rng.standard_normal(TIMES), 1e-6 * rng.standard_normal(TIMES)]
    )


@pytest.mark.parametrize("name", ["exp", "tanh"])
def test_exp_and_tanh_are_right_to_the_last_places(name):
    x = spread(-700, 700)
    assert units(apply(name, x), np.array([getattr(math, name)(value) for value in x])) < 4


def test_log_is_right_to_the_last_places():
    x = np.exp(spread(-700, 700))
    assert units(apply("log", x), np.array([math.log(value) for value in x])) < 4


def test_sine_and_cosine():
    x = spread(-1000, 1000)
    found = apply("sin_cos", x)
    assert np.abs(found[:, 0] - np.sin(x)).max() < 4e-16 and np.abs(found[:, 1] - np.cos(x)).max() < 4e-16
    assert units(found[TIMES * 2 :, 0], np.sin(x[TIMES * 2 :])) < 4  # small angles


def test_special_values():
    inf, nan = np.inf, np.nan
    np.testing.assert_equal(apply("exp", np.array([0, inf, -inf, nan, 710, -709])), [1, inf, 0, nan, inf, 0])
    np.testing.assert_equal(apply("tanh", np.array([0, inf, -inf, nan, 40, -40])), [0, 1, -1, nan, 1, -1])
    np.testing.assert_equal(apply("log", np.array([1, inf, nan])), [0, inf, nan])


def test_float32_is_taken_as_it_is():
    x = np.array([0.1, 3, -20], np.float32)
    for name in ("exp", "tanh"):
        assert apply(name, x) == pytest.approx([getattr(math, name)(value) for value in x], rel=1e-15)
    assert apply("sin_cos", x)[:, 0] == pytest.approx([math.sin(value) for value in x], rel=1e-14)
